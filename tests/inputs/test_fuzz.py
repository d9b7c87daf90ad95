"""Damaged pictures of every format are decoded, or refused with a code."""

import subprocess
import sys

import pytest

from tests.inputs.fuzz import run_in_subprocess

FUZZ = "tests.inputs.fuzz"
QUICK, LONG, PART, GUIDED = 1500, 100_000, 5_000, 50_000


@pytest.mark.long
def test_each_picture_is_read_or_refused_with_a_code() -> None:
    totals = run_in_subprocess(FUZZ, QUICK)
    assert totals["read"] > QUICK / 10, "enough files must be read to reach most of the decoders"
    assert len(totals) > 5


@pytest.mark.fuzz
@pytest.mark.parametrize("start", range(0, LONG, PART))
def test_each_of_very_many_pictures_is_read_or_refused_with_a_code(start: int) -> None:
    run_in_subprocess(FUZZ, PART, start)


@pytest.mark.fuzz
def test_a_guided_search_finds_no_picture_that_is_neither_read_nor_refused() -> None:
    pytest.importorskip("atheris", reason="atheris has wheels for Linux on x86-64 only")
    command = [sys.executable, "-m", "tests.inputs.guided", f"-runs={GUIDED}", "-seed=1"]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    assert f"Done {GUIDED} runs" in result.stderr
