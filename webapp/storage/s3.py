"""Files in an S3-compatible store."""

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

#: Larger files are kept on the disk while they are read.
IN_MEMORY = 8 * 2**20
GONE = ("NoSuchKey", "404")
#: The smallest part of a file that one request reads.
PART = 4 * 2**20
#: Keys that one request can delete.
DELETED_AT_ONCE = 1000


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """The errors of Amazon's library as those of files."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in GONE:
            raise FileNotFoundError(f"{name} is not in the bucket") from error
        raise StorageUnavailable(str(error)) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageUnavailable(str(error)) from error


class _Parts(io.RawIOBase):
    """A file of which each read is a request of its own; to be read through a buffer."""

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
            # Stores other than Amazon's have no names of hosts for buckets, and may not know its newer checksums.
            s3={"addressing_style": "path" if endpoint_url else "auto"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        super().__init__(endpoint_url=endpoint_url or None, client_config=config, file_overwrite=True, **options)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """As for :class:`webapp.storage.folder.LocalStorage`; the store confirms each file when it is durable."""
        yield

    def _open(self, name: str, mode: str = "rb") -> File:
        """The whole file, in one request, so that reading it cannot fail half-way."""
        if mode != "rb":
            raise ValueError("files in the store are only read, or saved as a whole")
        key = self._normalize_name(name)
        # The response that sends the file closes it, or the caller that opened it.
        content = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        with _errors(name):
            body = self.connection.meta.client.get_object(Bucket=self.bucket_name, Key=key)["Body"]
            shutil.copyfileobj(body, content, 2**20)
        content.seek(0)
        return File(content, name)

    def open_seekable(self, name: str) -> File:
        """A file of any size that is read in parts, as they are asked for, and never kept as a whole.

        Unlike what :meth:`open` gives, reading it may raise ``StorageUnavailable`` at any time.
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
        """Delete files, a thousand with a request; see :meth:`webapp.storage.folder.LocalStorage.delete_many`."""
        wanted: list[str] = list(names)
        left: list[str] = []
        for start in range(0, len(wanted), DELETED_AT_ONCE):
            keys = {self._normalize_name(name): name for name in wanted[start : start + DELETED_AT_ONCE]}
            request = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
            try:
                answer = self._translated(partial(self.bucket.delete_objects, Delete=request))
            except OSError as error:
                logger.warning("%d files cannot be deleted: %s", len(keys), type(error).__name__)
                left += keys.values()
                continue
            left += [keys[error["Key"]] for error in answer.get("Errors", ())]
        return left

    def walk(self, kind: str, after: str = "") -> Iterator[StoredFile]:
        """The files of a kind, in the order of their names; see :meth:`webapp.storage.folder.LocalStorage.walk`."""
        root = self._normalize_name("")
        listed = self.connection.meta.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket_name,
            Prefix=f"{self._normalize_name(kind)}/",
            **({"StartAfter": self._normalize_name(after)} if after else {}),
        )
        with _errors(kind):
            for page in listed:
                for item in page.get("Contents", ()):
                    name = item["Key"].removeprefix(root).lstrip("/")
                    yield StoredFile(name, item["LastModified"].timestamp(), item["Size"])

    def is_there(self) -> bool:
        """Whether the bucket answers."""
        try:
            self._translated(partial(self.connection.meta.client.head_bucket, Bucket=self.bucket_name))
        except OSError:
            return False
        return True

    @staticmethod
    def _translated(call: Callable[..., Any], *args: Any) -> Any:
        with _errors(str(args[0]) if args else "the bucket"):
            return call(*args)
