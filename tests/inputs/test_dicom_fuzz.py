"""Damaged DICOM files are read, or refused with a code."""

import subprocess
import sys

import pytest

from tests.inputs import dicom_fuzz

QUICK, LONG, PART = 300, 20_000, 5_000


@pytest.mark.long
def test_each_dicom_file_is_read_or_refused_with_a_code() -> None:
    totals = dicom_fuzz.run(range(QUICK))
    print(f"\n{dict(totals.most_common())}")
    assert totals["read"] > QUICK / 10, "most of the decoders must be reached"
    assert len(totals) > 5


@pytest.mark.fuzz
@pytest.mark.parametrize("start", range(0, LONG, PART))
def test_each_of_very_many_dicom_files_is_read_or_refused_with_a_code(start: int) -> None:
    """In a process of its own, which a decoder that crashes ends."""
    command = [sys.executable, "-m", "tests.inputs.dicom_fuzz", "--cases", str(PART), "--seed", str(start)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    print(ended.stdout)
