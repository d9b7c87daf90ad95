"""Write a ZIP of many files while it is sent."""

import zipfile
from collections.abc import Iterator

#: Bytes of a file that are sent at a time.
PART = 64 * 2**10


class _Sink:
    """A file for :mod:`zipfile` whose :meth:`take` returns what was written since the last call."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer to flush."""

    def take(self) -> bytes:
        content = b"".join(self._written)
        self._written.clear()
        return content


class ZipStream:
    """A ZIP that needs only as much memory as the file that is being added."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_STORED)  # type: ignore[call-overload]  # it needs no more

    def add(self, name: str, content: bytes) -> Iterator[bytes]:
        """Add a file, and yield the bytes of the ZIP in parts."""
        with self._archive.open(name, "w", force_zip64=True) as target:
            for start in range(0, len(content), PART):
                target.write(content[start : start + PART])
                yield self._sink.take()

    def end(self, name: str, text: str) -> bytes:
        """Add the last file, and return the last bytes of the ZIP."""
        self._archive.writestr(name, text)
        self._archive.close()
        return self._sink.take()
