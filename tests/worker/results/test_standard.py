"""Each object has what the standard's tables require of its kind (PS3.3 A and C), as highdicom carries them."""

from typing import Any

import pytest
from highdicom._standard_utils import (
    check_required_attributes,
    get_iod_module_map,
    get_module_attribute_map,
    get_sop_class_iod_map,
)
from pydicom import Dataset

from tests.worker.results.test_objects import arrived
from worker.deliver.dicom import making

#: Their tables have the attributes of all types of content items, of which each item has some; `dciodvfy` checks these.
OF_ITEMS = {"sr-document-content"}
KINDS = {"comprehensive-3d-sr", "secondary-capture-image", "key-object-selection-document"}


def check(data: Dataset) -> str:
    """Check the mandatory modules of an object and those of which it has the attributes; the name of its kind.

    Raises:
        AttributeError: an attribute is missing (types 1 and 2).
        ValueError: one is empty that must not be (type 1).
    """
    kind = get_sop_class_iod_map()[data.SOPClassUID]
    for module in get_iod_module_map()[kind]:
        if module["usage"] == "M" and module["key"] not in OF_ITEMS:
            check_required_attributes(data, module["key"])
            for attribute in get_module_attribute_map()[module["key"]]:
                if attribute["type"] == "1" and not attribute["path"] and data[attribute["keyword"]].is_empty:
                    raise ValueError(f"{attribute['keyword']} is empty")
    return kind


def test_each_object_has_the_attributes_of_its_modules(came: Any, revised: Any) -> None:
    image = came()
    made = arrived(making.make(revised(image))) + arrived(making.make(revised(image, 2, verdict="NORMAL")))
    assert {check(data) for data in made} == KINDS
    del made[0].CompletionFlag
    with pytest.raises(AttributeError, match="CompletionFlag"):
        check(made[0])
