"""``pneumoqueue watch``: sends what appears in a folder, each file once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pneumoqueue import sending
from pneumoqueue.errors import FileChanged, Refused
from pneumoqueue.files import Found, is_zip, sha256, walk
from pneumoqueue.journal import Item, Journal, Part
from pneumoqueue.report import Report
from pneumoqueue.server import IMAGES, STUDIES, Fields, Server

SENT, REFUSED = "sent", "refused"
#: Names of files that other programs are still writing.
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload", ".filepart", "~")


@dataclass
class _Seen:
    file: Found
    since: float


class Watch:
    """Looks into a folder again and again; a file is sent when its size and time have stayed the same for a while.

    Args:
        server: where to.
        journal: of this folder.
        report: shows what happens.
        folder: what is watched, with the folders below it.
        fields: sent with each file, such as the department.
        settle: seconds for which a file has to stay as it is.
        keep: leave the files where they are.
    """

    def __init__(
        self,
        server: Server,
        journal: Journal,
        report: Report,
        folder: Path,
        *,
        fields: Fields,
        settle: float,
        keep: bool = False,
    ) -> None:
        self.server, self.journal, self.report = server, journal, report
        self.folder, self.fields, self.settle, self.keep = folder.absolute(), fields, settle, keep
        self._seen: dict[str, _Seen] = {}
        self._finished: dict[str, Found] = {}
        self.refused = 0

    def settle_earlier(self) -> None:
        """Find out what became of files that were being sent when this was stopped."""
        for part in self.journal.unfinished():
            if sending.is_certain(part):
                self._send_part(part)
            elif made := sending.arrived(self.server, self.journal, part):
                self.journal.done(part, made)
            else:
                self.journal.drop(part)

    def look(self) -> int:
        """Look into the folder once, and send what is complete.

        Returns:
            How many files are there that are not complete yet.
        """
        seen: dict[str, _Seen] = {}
        for file in walk(self.folder, {self.folder / SENT, self.folder / REFUSED}):
            if file.base.endswith(UNFINISHED) or self._finished.get(file.path) == file:
                continue
            before = self._seen.get(file.path)
            now = before if before and before.file == file else _Seen(file, time.monotonic())
            if time.monotonic() - now.since < self.settle or not self._deliver(file):
                seen[file.path] = now
        self._seen = seen
        self._finished = {path: file for path, file in self._finished.items() if Path(path).exists()}
        return len(seen)

    def _deliver(self, file: Found) -> bool:
        """Send a file unless it was sent; returns whether it is settled."""
        try:
            item = Item(file, sha256(file))
        except OSError:  # another program has it, as on Windows, or it was taken away
            return False
        if made := self.journal.result_of(item):
            self._put_away(file, SENT)
            self.report.message(f"{file.name} was sent before, as {made}.")
            return True
        return self._send_part(self.journal.begin([item]))

    def _send_part(self, part: Part) -> bool:
        file = part.items[0].file
        try:
            made = self._made(part)
        except (FileChanged, FileNotFoundError):
            made = ""
        except Refused as error:
            self.journal.drop(part)
            if not error.is_of_the_file:
                raise
            self._refuse(file, error)
            return True
        if not made:
            self.journal.drop(part)
            return False
        self.journal.done(part, made)
        self._put_away(file, SENT)
        self.report.message(f"{file.name} was sent, as {made}.")
        return True

    def _made(self, part: Part) -> str:
        """Send a file; returns the image or study that it has become."""
        file = part.items[0].file
        path, field, fields = IMAGES, "file", self.fields
        if is_zip(file):
            path, field, fields = STUDIES, "files", {"name": Path(file.base).stem, **self.fields}
        try:
            return str(sending.send(self.server, self.report, part, path, field, fields)["id"])
        except Refused as error:
            if error.code == sending.KEY_REUSED:
                return sending.arrived(self.server, self.journal, part)
            raise

    def _refuse(self, file: Found, error: Refused) -> None:
        self.refused += 1
        self.report.message(f"{file.name} was refused: {error}")
        moved = self._put_away(file, REFUSED)
        if moved:
            moved.with_name(f"{moved.name}.txt").write_text(f"{error}\n", encoding="utf-8")

    def _put_away(self, file: Found, where: str) -> Path | None:
        """Move a file into a subfolder, unless files are to stay; the journal knows which files were sent."""
        self._finished[file.path] = file
        if self.keep:
            return None
        target = self.folder / where / file.name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target = _free(target)
            Path(file.path).rename(target)
        except OSError as error:
            self.report.message(f"{file.name} stays where it is: it cannot be moved to {target}: {error.strerror}.")
            return None
        return target


def _free(target: Path) -> Path:
    """The path, or one with a number where there is a file of that name."""
    number, free = 2, target
    while free.exists():
        free = target.with_name(f"{target.stem} ({number}){target.suffix}")
        number += 1
    return free
