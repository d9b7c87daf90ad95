"""Django's default storage, with the type of both backends, which have more methods than Django requires."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol, cast

from django.core.files import File
from django.core.files.storage import default_storage


class Media(Protocol):
    """The storage for uploads and other files."""

    def batch(self) -> AbstractContextManager[None]:
        """Make the files that are saved within the block durable together, at its end."""

    def open_seekable(self, name: str) -> File:
        """Open a file for reading in any order."""

    def delete_many(self, names: Collection[str]) -> list[str]:
        """Delete files. Returns the names of those that could not be deleted."""

    def is_there(self) -> bool:
        """Whether the storage responds."""


media = cast("Media", default_storage)
