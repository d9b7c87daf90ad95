"""Files that the client sends."""

from pathlib import Path

import pytest
from pneumoqueue.files import Found, first_entry_sha256

from tests import synthetic


def found(path: Path) -> Found:
    return Found(str(path), path.name, path.stat().st_size, path.stat().st_mtime_ns)


def test_the_first_file_of_a_zip_is_identified_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(synthetic.zip_of({"a.txt": b"chest" * 1000}))
    assert len(first_entry_sha256(found(path))) == 64


@pytest.mark.parametrize("damage", ["compressed data", "cut off", "empty"])
def test_an_unreadable_zip_has_no_hash_and_raises_no_error(tmp_path: Path, damage: str) -> None:
    content = bytearray(synthetic.zip_of({"a.txt": bytes(range(256)) * 40}))
    if damage == "compressed data":
        start = content.index(b"a.txt") + 5
        content[start : start + 8] = b"\xff" * 8  # no Deflate block begins like this
    elif damage == "cut off":
        del content[40:]
    else:
        content = bytearray(synthetic.zip_of({}))
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    assert first_entry_sha256(found(path)) == ""
