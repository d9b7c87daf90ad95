"""Damage to stored files."""

from pathlib import Path

from django.core.files.storage import default_storage


def flip_a_bit(name: str | None) -> None:
    """Change one bit of a file, as a disk does: it still has its length."""
    path = Path(default_storage.path(str(name)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
