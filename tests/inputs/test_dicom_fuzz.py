"""Damaged DICOM files are read, or refused with a code."""

import pytest

from tests.inputs.fuzz import run_in_subprocess

FUZZ = "tests.inputs.dicom_fuzz"
QUICK, LONG, PART = 300, 20_000, 5_000


@pytest.mark.long
def test_each_dicom_file_is_read_or_refused_with_a_code() -> None:
    totals = run_in_subprocess(FUZZ, QUICK)
    assert totals["read"] > QUICK / 10, "enough files must be read to reach most of the decoders"
    assert len(totals) > 5


@pytest.mark.fuzz
@pytest.mark.parametrize("start", range(0, LONG, PART))
def test_each_of_very_many_dicom_files_is_read_or_refused_with_a_code(start: int) -> None:
    run_in_subprocess(FUZZ, PART, start)
