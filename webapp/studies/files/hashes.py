"""Hashes of files."""

import hashlib

from django.core.files import File


def content_hash(file: File) -> str:
    """Return the SHA-256 of a whole file in hex. The file is read from its start in parts."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
