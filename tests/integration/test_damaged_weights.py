"""A model that cannot be loaded stops `make run` with a sentence, instead of a service that is never ready."""

import shutil
from pathlib import Path

import pytest

from tests.service import bundle, launched

pytestmark = [pytest.mark.integration, pytest.mark.long]


def test_damaged_weights_end_the_start_with_the_reason(tmp_path: Path) -> None:
    damaged = tmp_path / bundle().name
    shutil.copytree(bundle(), damaged)
    weights = damaged / "weights.npz"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with launched(tmp_path / "data", MODEL_BUNDLE=str(damaged)) as service:
        assert service.process.wait(240) == 1
    assert not [line for line in service.lines if line.startswith("ready ")]
    assert any(line.startswith("infer ended 3 times") for line in service.lines), service.lines
    assert any("is not the file that was released" in line for line in service.lines), service.lines
