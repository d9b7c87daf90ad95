"""DICOMweb hands out nothing of an instance whose stored file is damaged."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests import dicom_files, dicomweb, modality, synthetic
from tests.damage import flip_a_bit
from tests.webapp.clients import Client, checked_problem
from webapp.refusals import Refused
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db
STUDY = f"/dicomweb/studies/{modality.STUDY}"
PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def made(number: int) -> bytes:
    return dicom_files.made(
        np.asarray(synthetic.xray(1, (64, 48))), bits=8, StudyInstanceUID=modality.STUDY,
        SeriesInstanceUID=f"{modality.STUDY}.1", SOPInstanceUID=f"{modality.STUDY}.1.{number}", InstanceNumber=number,
        RedPaletteColorLookupTableData=b"0" * 2000,
    )  # fmt: skip


@pytest.fixture
def address(scanner: Client) -> Callable[[int], str]:
    """Store two instances; their addresses."""
    assert dicomweb.store(scanner, dicomweb.body(made(1), made(2))).status_code == 200
    return lambda number: f"{STUDY}/series/{modality.STUDY}.1/instances/{modality.STUDY}.1.{number}"


def damage(number: int) -> None:
    flip_a_bit(Image.objects.get(instance_uid=f"{modality.STUDY}.1.{number}").file.name)


def test_a_damaged_instance_is_refused(scanner: Client, address: Callable[[int], str]) -> None:
    requests: list[tuple[str, dict[str, Any]]] = [
        (address(1), {"Accept": PARTS}), (address(1), {"Accept": "application/dicom"}),
        (f"{address(1)}/frames/1", {}), (f"{address(1)}/bulkdata/7FE00010", {}),
        (f"{address(1)}/bulkdata/00281201", {}), (STUDY, {"Accept": PARTS}),
    ]  # fmt: skip
    for path, headers in requests:
        assert scanner.get(path, headers=headers).status_code == 200, path
    damage(1)
    for path, headers in requests:
        checked_problem(scanner.get(path, headers=headers), 409, "file_damaged")
    assert scanner.get(address(2), headers={"Accept": PARTS}).status_code == 200


def test_a_study_ends_before_a_damaged_instance(scanner: Client, address: Callable[[int], str]) -> None:
    damage(2)
    answer, sent = scanner.get(STUDY, headers={"Accept": PARTS}), []
    with pytest.raises(Refused) as refused:  # the server then closes the connection before the end of the body
        sent.extend(answer.streaming_content)
    assert refused.value.code == "file_damaged"
    assert made(1) in b"".join(sent)
    assert b"".join(sent).count(b"DICM") == 1


def test_the_metadata_of_a_damaged_instance_come_from_the_database(
    scanner: Client, address: Callable[[int], str]
) -> None:
    damage(1)
    damaged, sound = json.loads(b"".join(scanner.get(f"{STUDY}/metadata").streaming_content))
    assert damaged["00080018"]["Value"] == [f"{modality.STUDY}.1.1"]
    assert "00281201" in sound
    assert "00281201" not in damaged
