"""States of a disk that POSIX allows after a power cut. Killing a process cannot produce them.

Bytes written to a file since its last sync may be lost, in part or completely. Names added to or removed from a folder
since its last sync may be there or not. Everything else is kept.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.power_cut.recorder import Operation

SECTOR = 512


@dataclass(eq=False)
class File:
    """A file's content that is certainly on the disk, and the operations since."""

    content: bytearray = field(default_factory=bytearray)
    unsynced: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        for operation in self.unsynced:
            _write(self.content, operation)
        self.unsynced.clear()

    def content_after_cut(self, kept_part: Callable[[Operation], Operation | None]) -> bytes:
        content = bytearray(self.content)
        for operation in self.unsynced:
            if kept := kept_part(operation):
                _write(content, kept)
        return bytes(content)


@dataclass(eq=False)
class Folder:
    """A folder's names that are certainly on the disk."""

    names: dict[str, "File | Folder"] = field(default_factory=dict)


@dataclass(eq=False)
class Change:
    """A change of names: one is removed from a folder, added to a folder, or both at once."""

    folders: tuple[Folder, ...]
    removed: tuple[Folder, str] | None
    added: tuple[Folder, str, File | Folder] | None

    def apply(self) -> None:
        if self.removed:
            self.removed[0].names.pop(self.removed[1], None)
        if self.added:
            self.added[0].names[self.added[1]] = self.added[2]


class Disk:
    """A folder's files: how programs see them, and what is certainly on the disk.

    Args:
        folder: a copy of its initial state; all of it counts as synced.
        path: where the programs had the folder, if elsewhere.
    """

    def __init__(self, folder: Path, path: Path | None = None) -> None:
        self.root = Folder()
        top = (path or folder).resolve()
        self._visible: dict[Path, File | Folder] = {top: self.root}
        self._unsynced: list[Change] = []
        for file in sorted(folder.rglob("*")):
            entry: File | Folder = Folder() if file.is_dir() else File(bytearray(file.read_bytes()))
            visible_path = top / file.relative_to(folder)
            self._visible[visible_path] = entry
            self._parent(visible_path).names[visible_path.name] = entry

    def apply(self, operation: Operation) -> None:
        path, visible = operation.path, self._visible
        if operation.kind in ("write", "truncate"):
            # A file that was deleted while it was open is gone after the cut in any case.
            if isinstance(found := visible.get(path), File):
                found.unsynced.append(operation)
        elif operation.kind == "sync":
            found = visible.get(path)
            if isinstance(found, Folder):
                self._sync_names(found)
            elif found:
                found.sync()
        elif operation.kind in ("create", "mkdir"):
            if path not in visible:
                visible[path] = File() if operation.kind == "create" else Folder()
                self._change(None, path)
        elif operation.kind in ("unlink", "rmdir"):
            self._change(path, None)
            del visible[path]
        elif operation.kind in ("link", "rename"):
            self._link_or_rename(operation)

    def _link_or_rename(self, operation: Operation) -> None:
        removed = operation.path if operation.kind == "rename" else None
        self._visible[operation.target] = self._visible[operation.path]
        self._change(removed, operation.target)
        if removed:
            del self._visible[removed]

    def _parent(self, path: Path) -> Folder:
        found = self._visible[path.parent]
        assert isinstance(found, Folder)
        return found

    def _change(self, removed: Path | None, added: Path | None) -> None:
        self._unsynced.append(
            Change(
                tuple(self._parent(path) for path in (removed, added) if path),
                (self._parent(removed), removed.name) if removed else None,
                (self._parent(added), added.name, self._visible[added]) if added else None,
            )
        )

    def _sync_names(self, folder: Folder) -> None:
        for change in self._unsynced:
            if folder in change.folders:
                change.apply()
        self._unsynced = [change for change in self._unsynced if folder not in change.folders]

    # --- cuts -------------------------------------------------------------------------------------------------------

    def synced_only(self) -> dict[Path, bytes]:
        """The files if only synced changes are kept."""
        return self._files_after_cut([], lambda _: None)

    def names_only(self) -> dict[Path, bytes]:
        """The files if all names are kept, but only synced content."""
        return self._files_after_cut(self._unsynced, lambda _: None)

    def some_unsynced(self, rng: random.Random) -> dict[Path, bytes]:
        """The files if some unsynced changes are kept: those of names in order, those of contents in any order."""
        kept, broken = [], set()
        for change in self._unsynced:
            if broken.isdisjoint(change.folders) and rng.random() < 0.7:
                kept.append(change)
            else:
                broken.update(change.folders)

        def kept_part(operation: Operation) -> Operation | None:
            if operation.kind == "truncate":
                return operation if rng.random() < 0.5 else None
            size = rng.choice((0, len(operation.data), SECTOR * rng.randint(0, len(operation.data) // SECTOR)))
            return Operation("write", operation.path, operation.data[:size], operation.offset) if size else None

        return self._files_after_cut(kept, kept_part)

    def _files_after_cut(
        self, changes: Iterable[Change], kept_part: Callable[[Operation], Operation | None]
    ) -> dict[Path, bytes]:
        names: dict[Folder, dict[str, File | Folder]] = {}

        def names_in(folder: Folder) -> dict[str, File | Folder]:
            return names.setdefault(folder, dict(folder.names))

        for change in changes:
            if change.removed:
                names_in(change.removed[0]).pop(change.removed[1], None)
            if change.added:
                names_in(change.added[0])[change.added[1]] = change.added[2]
        files: dict[Path, bytes] = {}

        def walk(folder: Folder, path: Path) -> None:
            for name, entry in names_in(folder).items():
                if isinstance(entry, Folder):
                    walk(entry, path / name)
                elif not name.endswith("-shm"):  # SQLite recreates it
                    files[path / name] = entry.content_after_cut(kept_part)

        walk(self.root, Path())
        return files


def _write(content: bytearray, operation: Operation) -> None:
    if operation.kind == "truncate":
        del content[operation.offset :]
        content.extend(bytes(operation.offset - len(content)))
        return
    end = operation.offset + len(operation.data)
    content.extend(bytes(max(0, end - len(content))))
    content[operation.offset : end] = operation.data
