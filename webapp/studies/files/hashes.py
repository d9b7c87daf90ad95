"""Hashes of files."""

import hashlib

from django.core.files import File

#: Bytes that are read at once: of a file in memory that is smaller no copy is made.
PART = 2**20


def content_hash(file: File) -> str:
    """The SHA-256 of a whole file, in hex. The file is read from its start, a part at a time."""
    digest = hashlib.sha256()
    for part in file.chunks(PART):
        digest.update(part)
    return digest.hexdigest()
