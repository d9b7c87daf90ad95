"""Hashes of files."""

import hashlib

from django.core.files import File

#: Bytes that are read at once: for each part a thread gives Python up, and waits for it again.
PART = 2**20


def content_hash(file: File) -> str:
    """The SHA-256 of a whole file, in hex. The file is read from its start, a part at a time."""
    digest = hashlib.sha256()
    file.seek(0)
    for part in file.chunks(PART):
        digest.update(part)
    return digest.hexdigest()
