"""Store files in an S3-compatible store."""

import io
import logging
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files import File
from storages.backends.s3 import S3Storage as BaseS3Storage

from webapp.storage.folder import StorageUnavailable, StoredFile

logger = logging.getLogger(__name__)

#: Bytes above which a file is buffered on disk while it is read.
IN_MEMORY = 8 * 2**20
GONE = ("NoSuchKey", "404")
#: Bytes that a request reads at least from a file.
PART = 4 * 2**20
#: Number of keys that one request can delete.
DELETED_AT_ONCE = 1000


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Translate errors of Amazon's library to ``OSError``."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in GONE:
            raise FileNotFoundError(f"{name} is not in the bucket") from error
        raise StorageUnavailable(str(error)) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageUnavailable(str(error)) from error


class _Parts(io.RawIOBase):
    """A file for which each read is a separate request. Use it through a buffer."""

    def __init__(self, read_part: Callable[[int, int], bytes], size: int) -> None:
        self._read_part = read_part
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        end = min(self._position + len(buffer), self._size)
        if end <= self._position:
            return 0
        content = self._read_part(self._position, end)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


class S3Storage(BaseS3Storage):  # type: ignore[misc]  # django-storages has no types
    """A bucket of a store that speaks S3."""

    def __init__(self, *, endpoint_url: str = "", **options: Any) -> None:
        config = Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"mode": "standard", "max_attempts": 2},
            max_pool_connections=20,
            # Other stores than Amazon's have no host names for buckets, and may not support its newer checksums.
            s3={"addressing_style": "path" if endpoint_url else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        super().__init__(endpoint_url=endpoint_url or None, client_config=config, file_overwrite=True, **options)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """See :class:`webapp.storage.folder.LocalStorage`. The store confirms each file once it is durable."""
        yield

    def _open(self, name: str, mode: str = "rb") -> File:
        """Read the whole file in one request, so that reading it cannot fail half-way."""
        if mode != "rb":
            raise ValueError("files in the store are only read, or saved as a whole")
        key = self._normalize_name(name)
        # It is closed by the response that sends it, or by the caller.
        content = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        with _errors(name):
            body = self.connection.meta.client.get_object(Bucket=self.bucket_name, Key=key)["Body"]
            shutil.copyfileobj(body, content, 2**20)
        content.seek(0)
        return File(content, name)

    def open_seekable(self, name: str) -> File:
        """Open a file of any size, which is read in parts as needed, and never stored as a whole.

        Unlike with :meth:`open`, reading may raise ``StorageUnavailable`` at any time.
        """
        client, key = self.connection.meta.client, self._normalize_name(name)
        with _errors(name):
            size = client.head_object(Bucket=self.bucket_name, Key=key)["ContentLength"]

        def read_part(start: int, end: int) -> bytes:
            with _errors(name):
                part = client.get_object(Bucket=self.bucket_name, Key=key, Range=f"bytes={start}-{end - 1}")
                return bytes(part["Body"].read())

        return File(io.BufferedReader(_Parts(read_part, size), PART), name)

    def _save(self, name: str, content: File) -> str:
        return str(self._translated(super()._save, name, content))

    def delete(self, name: str) -> None:
        self._translated(super().delete, name)

    def exists(self, name: str) -> bool:
        return bool(self._translated(super().exists, name))

    def size(self, name: str) -> int:
        return int(self._translated(super().size, name))

    def delete_many(self, names: Collection[str]) -> list[str]:
        """Delete files, a thousand per request; see :meth:`webapp.storage.folder.LocalStorage.delete_many`."""
        all_names: list[str] = list(names)
        failed: list[str] = []
        for start in range(0, len(all_names), DELETED_AT_ONCE):
            keys = {self._normalize_name(name): name for name in all_names[start : start + DELETED_AT_ONCE]}
            request = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            try:
                response = self._translated(partial(self.bucket.delete_objects, Delete=request))
            except OSError as error:
                logger.warning("%d files cannot be deleted: %s", len(keys), type(error).__name__)
                failed += keys.values()
                continue
            failed += [keys[error["Key"]] for error in response.get("Errors", ())]
        return failed

    def walk(self, kind: str, after: str = "") -> Iterator[StoredFile]:
        """Yield the files of a kind, sorted by name; see :meth:`webapp.storage.folder.LocalStorage.walk`."""
        root = self._normalize_name("")
        pages = self.connection.meta.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name,
            Prefix=f"{self._normalize_name(kind)}/",
            **({"StartAfter": self._normalize_name(after)} if after else {}),
        )
        with _errors(kind):
            for page in pages:
                for item in page.get("Contents", ()):
                    name = item["Key"].removeprefix(root).lstrip("/")
                    yield StoredFile(name, item["LastModified"].timestamp(), item["Size"])

    def is_there(self) -> bool:
        """Whether the bucket responds."""
        try:
            self._translated(partial(self.connection.meta.client.head_bucket, Bucket=self.bucket_name))
        except OSError:
            return False
        return True

    @staticmethod
    def _translated(call: Callable[..., Any], *args: Any) -> Any:
        with _errors(str(args[0]) if args else "the bucket"):
            return call(*args)
