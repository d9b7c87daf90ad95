"""Files are opened in a separate process, because a decoder may crash it."""

import os
import signal
from pathlib import Path

import pytest

from ml.errors import ImageError
from ml.inference import opening
from ml.pictures.preprocess import Preprocessing
from tests import synthetic

original_open = opening._open


def crashing(file: Path, spec: Preprocessing) -> opening.Opened:
    """Open a file, or crash like a decoder whose memory is damaged."""
    if file.name == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return original_open(file, spec)


@pytest.mark.long
def test_a_file_that_crashes_its_decoder_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_open", crashing)
    files = [tmp_path / name for name in ("first", "crash", "last")]
    for file in files:
        file.write_bytes(synthetic.xray_png(1, (72, 66)))
    first, crash, last = opening.open_files(files, Preprocessing())
    assert isinstance(first, opening.Opened)
    assert isinstance(last, opening.Opened)
    assert (first.size, first.input.tolist()) == (last.size, last.input.tolist())
    assert isinstance(crash, ImageError)
    assert crash.code == "image_corrupt"
