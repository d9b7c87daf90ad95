"""Open stored files, and compare each with the hash that its row has of it."""

import hashlib
import logging

from django.core.files import File
from django.core.files.storage import default_storage

from webapp.refusals import Refused
from webapp.studies.files.hashes import content_hash

logger = logging.getLogger(__name__)


def opened(name: str | None, sha256: str) -> File:
    """Open a stored file after its whole content was compared with its hash. It is read in parts.

    Args:
        name: the file's name in the storage.
        sha256: the file's hash in its row; empty if the row has none, and then nothing is compared.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: the storage does not deliver it.
        Refused: ``file_damaged``.
    """
    file = _open(name)
    try:
        if sha256 and content_hash(file) != sha256:
            raise _damaged(name)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def read(name: str | None, sha256: str) -> bytes:
    """Read a whole stored file and compare it with its hash, as :func:`opened` does."""
    with _open(name) as file:
        content: bytes = file.read()
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise _damaged(name)
    return content


def _open(name: str | None) -> File:
    if not name:
        raise FileNotFoundError("the row names no file")
    return default_storage.open(name)


def _damaged(name: str | None) -> Refused:
    logger.error("the stored file %s is damaged: its hash is not the one in its row", name)
    return Refused("file_damaged", "The stored file is not what was uploaded. Please upload it again.")
