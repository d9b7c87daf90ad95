"""Django's default storage by the type that both backends have: more than Django asks of one."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol, cast

from django.core.files import File
from django.core.files.storage import default_storage


class Media(Protocol):
    """What uploads are stored in."""

    def batch(self) -> AbstractContextManager[None]:
        """Within it, files that are saved become durable together, at its end."""

    def open_seekable(self, name: str) -> File:
        """Open a file to be read in any order."""

    def delete_many(self, names: Collection[str]) -> list[str]:
        """Delete files. Returns the names of those that could not be deleted."""

    def is_there(self) -> bool:
        """Whether the storage answers."""


media = cast("Media", default_storage)
