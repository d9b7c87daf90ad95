"""Each object has the attributes that the standard's tables (PS3.3 A and C) require, as highdicom contains them."""

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

#: Modules with the attributes of all types of content items, of which an item has only some; `dciodvfy` checks them.
OF_ITEMS = {"sr-document-content"}
KINDS = {"comprehensive-3d-sr", "secondary-capture-image", "key-object-selection-document"}


def check(data: Dataset) -> str:
    """Check the attributes of an object's mandatory modules. Return the name of its kind.

    Raises:
        AttributeError: an attribute is missing (types 1 and 2).
        ValueError: an attribute is empty that must not be (type 1).
    """
    kind = get_sop_class_iod_map()[data.SOPClassUID]
    for module in get_iod_module_map()[kind]:
        if module["usage"] == "M" and module["key"] not in OF_ITEMS:
            check_required_attributes(data, module["key"])
            for attribute in get_module_attribute_map()[module["key"]]:
                if attribute["type"] == "1" and not attribute["path"] and data[attribute["keyword"]].is_empty:
                    raise ValueError(f"{attribute['keyword']} is empty")
    return kind


def test_each_object_has_the_attributes_of_its_modules(dicom_image: Any, make_revision: Any) -> None:
    image = dicom_image()
    objects = arrived(making.make(make_revision(image))) + arrived(
        making.make(make_revision(image, 2, verdict="NORMAL"))
    )
    assert {check(data) for data in objects} == KINDS
    del objects[0].CompletionFlag
    with pytest.raises(AttributeError, match="CompletionFlag"):
        check(objects[0])
