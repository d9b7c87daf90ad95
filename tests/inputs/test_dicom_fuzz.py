"""Damaged DICOM files are read, or refused with a code."""

import pytest

from tests.inputs.fuzz import apart

FUZZ = "tests.inputs.dicom_fuzz"
QUICK, LONG, PART = 300, 20_000, 5_000


@pytest.mark.long
def test_each_dicom_file_is_read_or_refused_with_a_code() -> None:
    totals = apart(FUZZ, QUICK)
    assert totals["read"] > QUICK / 10, "most of the decoders must be reached"
    assert len(totals) > 5


@pytest.mark.fuzz
@pytest.mark.parametrize("start", range(0, LONG, PART))
def test_each_of_very_many_dicom_files_is_read_or_refused_with_a_code(start: int) -> None:
    apart(FUZZ, PART, start)
