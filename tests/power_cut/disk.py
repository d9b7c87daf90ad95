"""What may be on a disk after a power cut, as POSIX allows it and no kill can show.

What was written to a file since its last sync may be there or not, in part or whole. A name that was given or taken
since its folder's last sync may be there or not. Everything else is there.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.power_cut.recorder import Operation

SECTOR = 512


@dataclass(eq=False)
class File:
    """What is on the disk for certain, and what was written since."""

    content: bytearray = field(default_factory=bytearray)
    unsynced: list[Operation] = field(default_factory=list)

    def sync(self) -> None:
        for operation in self.unsynced:
            _write(self.content, operation)
        self.unsynced.clear()

    def after(self, keeps: Callable[[Operation], Operation | None]) -> bytes:
        content = bytearray(self.content)
        for operation in self.unsynced:
            if kept := keeps(operation):
                _write(content, kept)
        return bytes(content)


@dataclass(eq=False)
class Folder:
    """Names that are on the disk for certain."""

    names: dict[str, "File | Folder"] = field(default_factory=dict)


@dataclass(eq=False)
class Change:
    """A change of names: one is taken from a folder, given in a folder, or both at once."""

    folders: tuple[Folder, ...]
    taken: tuple[Folder, str] | None
    given: tuple[Folder, str, File | Folder] | None

    def apply(self) -> None:
        if self.taken:
            self.taken[0].names.pop(self.taken[1], None)
        if self.given:
            self.given[0].names[self.given[1]] = self.given[2]


class Disk:
    """A folder's files, as programs see them and as the disk has them.

    Args:
        folder: as it was at first; all of it counts as synced.
        path: where the programs had it, if elsewhere.
    """

    def __init__(self, folder: Path, path: Path | None = None) -> None:
        self.root = Folder()
        top = (path or folder).resolve()
        self._seen: dict[Path, File | Folder] = {top: self.root}
        self._unsynced: list[Change] = []
        for file in sorted(folder.rglob("*")):
            made: File | Folder = Folder() if file.is_dir() else File(bytearray(file.read_bytes()))
            seen = top / file.relative_to(folder)
            self._seen[seen] = made
            self._folder(seen).names[seen.name] = made

    def apply(self, operation: Operation) -> None:
        path, seen = operation.path, self._seen
        if operation.kind in ("write", "truncate"):
            # A file that was removed while it is open is gone after the cut in any case.
            if isinstance(found := seen.get(path), File):
                found.unsynced.append(operation)
        elif operation.kind == "sync":
            found = seen.get(path)
            if isinstance(found, Folder):
                self._sync_names(found)
            elif found:
                found.sync()
        elif operation.kind in ("create", "mkdir"):
            if path not in seen:
                seen[path] = File() if operation.kind == "create" else Folder()
                self._change(None, path)
        elif operation.kind in ("unlink", "rmdir"):
            self._change(path, None)
            del seen[path]
        elif operation.kind in ("link", "rename"):
            self._name_again(operation)

    def _name_again(self, operation: Operation) -> None:
        taken = operation.path if operation.kind == "rename" else None
        self._seen[operation.target] = self._seen[operation.path]
        self._change(taken, operation.target)
        if taken:
            del self._seen[taken]

    def _folder(self, path: Path) -> Folder:
        found = self._seen[path.parent]
        assert isinstance(found, Folder)
        return found

    def _change(self, taken: Path | None, given: Path | None) -> None:
        self._unsynced.append(
            Change(
                tuple(self._folder(path) for path in (taken, given) if path),
                (self._folder(taken), taken.name) if taken else None,
                (self._folder(given), given.name, self._seen[given]) if given else None,
            )
        )

    def _sync_names(self, folder: Folder) -> None:
        for change in self._unsynced:
            if folder in change.folders:
                change.apply()
        self._unsynced = [change for change in self._unsynced if folder not in change.folders]

    # --- cuts -------------------------------------------------------------------------------------------------------

    def nothing_more(self) -> dict[Path, bytes]:
        """The files where nothing is kept that was not synced."""
        return self._after([], lambda _: None)

    def names_only(self) -> dict[Path, bytes]:
        """The files where all names are kept, and no content that was not synced."""
        return self._after(self._unsynced, lambda _: None)

    def something(self, chance: random.Random) -> dict[Path, bytes]:
        """The files where some of what was not synced is kept; names in order, contents in no order."""
        kept, broken = [], set()
        for change in self._unsynced:
            if broken.isdisjoint(change.folders) and chance.random() < 0.7:
                kept.append(change)
            else:
                broken.update(change.folders)

        def keeps(operation: Operation) -> Operation | None:
            if operation.kind == "truncate":
                return operation if chance.random() < 0.5 else None
            size = chance.choice((0, len(operation.data), SECTOR * chance.randint(0, len(operation.data) // SECTOR)))
            return Operation("write", operation.path, operation.data[:size], operation.offset) if size else None

        return self._after(kept, keeps)

    def _after(self, changes: Iterable[Change], keeps: Callable[[Operation], Operation | None]) -> dict[Path, bytes]:
        names: dict[Folder, dict[str, File | Folder]] = {}

        def names_in(folder: Folder) -> dict[str, File | Folder]:
            return names.setdefault(folder, dict(folder.names))

        for change in changes:
            if change.taken:
                names_in(change.taken[0]).pop(change.taken[1], None)
            if change.given:
                names_in(change.given[0])[change.given[1]] = change.given[2]
        found: dict[Path, bytes] = {}

        def walk(folder: Folder, at: Path) -> None:
            for name, entry in names_in(folder).items():
                if isinstance(entry, Folder):
                    walk(entry, at / name)
                elif not name.endswith("-shm"):  # SQLite makes it again
                    found[at / name] = entry.after(keeps)

        walk(self.root, Path())
        return found


def _write(content: bytearray, operation: Operation) -> None:
    if operation.kind == "truncate":
        del content[operation.offset :]
        content.extend(bytes(operation.offset - len(content)))
        return
    end = operation.offset + len(operation.data)
    content.extend(bytes(max(0, end - len(content))))
    content[operation.offset : end] = operation.data
