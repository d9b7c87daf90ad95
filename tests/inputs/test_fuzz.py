"""Damaged pictures of every format are decoded, or refused with a code."""

import subprocess
import sys

import pytest

from tests.inputs import fuzz

QUICK, LONG, PART = 1500, 100_000, 5_000
#: Cases that ended in another way once.
FOUND: list[int] = []


def test_each_picture_is_read_or_refused_with_a_code() -> None:
    for number in FOUND:
        fuzz.run(range(number, number + 1))
    totals = fuzz.run(range(QUICK))
    print(f"\n{dict(totals.most_common())}")
    assert totals["read"] > QUICK / 10, "most of the decoders must be reached"
    assert len(totals) > 5


@pytest.mark.fuzz
@pytest.mark.parametrize("start", range(0, LONG, PART))
def test_each_of_very_many_pictures_is_read_or_refused_with_a_code(start: int) -> None:
    """In a process of its own, which a decoder that crashes ends."""
    command = [sys.executable, "-m", "tests.inputs.fuzz", "--cases", str(PART), "--seed", str(start)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]
    print(ended.stdout)
