"""``pneumoqueue upload``: files become a study, in parts that can be sent again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pneumoqueue import sending
from pneumoqueue.errors import ClientError, ExitCode, FileChanged, Refused
from pneumoqueue.files import Found, is_zip, sha256
from pneumoqueue.journal import Item, Journal, Part
from pneumoqueue.manifest import Manifest
from pneumoqueue.report import Report
from pneumoqueue.server import STUDIES, Fields, Server

#: A part ends with whichever comes first.
PART_FILES, PART_BYTES = 50, 32 * 2**20
#: The study is full; the remaining files become another study.
FULL = {"too_many_files", "study_too_large"}
#: Fields that are of the files, and not of the study: they go with each part.
OF_FILES = ("age", "view")


@dataclass
class Outcome:
    """The outcome for the files.

    Attributes:
        sent: that were accepted now.
        known: that were accepted before.
        failed: the name of each that was not, and why.
    """

    sent: int = 0
    known: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.SOME_FAILED if self.failed else ExitCode.DONE


class Upload:
    """Sends files to one study, or to several where they are more than one may have.

    Args:
        server: where to.
        journal: of this upload.
        report: shows the progress.
        name: of the study.
        fields: sent with the study's first files, such as the patient; the age and the view with all files.
        manifest: details of each file.
        part_files: the most files of a request.
    """

    def __init__(
        self,
        server: Server,
        journal: Journal,
        report: Report,
        *,
        name: str,
        fields: Fields,
        manifest: Manifest | None = None,
        part_files: int = PART_FILES,
    ) -> None:
        self.server, self.journal, self.report = server, journal, report
        self.name, self.fields, self.manifest = name, fields, manifest or Manifest([], [])
        self.part_files = part_files
        self.outcome = Outcome()
        self.study = ""

    def run(self, files: Iterable[Found]) -> Outcome:
        """Send what was not sent before."""
        self._go_on()
        self.journal.begin_run()
        self.outcome = Outcome()  # the walk finds what was settled now like all that was sent before
        batch: list[Item] = []
        for file in files:
            item = self._new(file)
            if item is None:
                continue
            alone = is_zip(file)
            if batch and (alone or not self._has_room(batch, file)):
                self._send(batch)
                batch = []
            batch.append(item)
            if alone:
                self._send(batch)
                batch = []
        if batch:
            self._send(batch)
        return self.outcome

    def _go_on(self) -> None:
        """Find the study of an earlier run, and settle what it left open."""
        self.study = next(iter(reversed(self.journal.studies())), "")
        if self.study and self.server.find(f"{STUDIES}{self.study}/") is None:
            self.report.message("The study of this upload was deleted on the server; everything is sent again.")
            self.journal.forget()
            self.study = ""
        for part in self.journal.unfinished():
            if sending.is_certain(part):
                self._send_part(part)
            elif made := sending.arrived(self.server, self.journal, part):
                self._done(part, made)
            else:
                self.journal.drop(part)

    def _new(self, file: Found) -> Item | None:
        """A file with its hash, unless it was sent before or cannot be read."""
        if not self.journal.knows_place(file):
            try:
                item = Item(file, sha256(file))
            except OSError as error:
                self.outcome.failed.append((file.name, f"The file cannot be read: {error.strerror}."))
                self.report.advance(file.size)
                return None
            if not self.journal.knows_content(item):
                return item
        self.outcome.known += 1
        self.report.advance(file.size)
        return None

    def _has_room(self, batch: Sequence[Item], file: Found) -> bool:
        """Whether a part takes one more file. Two of one name are apart, since rows of a manifest name no folder."""
        return (
            len(batch) < self.part_files
            and sum(item.file.size for item in batch) + file.size <= PART_BYTES
            and all(item.file.base != file.base for item in batch)
        )

    def _send(self, items: Sequence[Item]) -> None:
        """Send files to the present study, or as a new one where there is none."""
        number = len(self.journal.studies()) + 1
        name = self.name if number == 1 else f"{self.name} ({number})"
        self._send_part(self.journal.begin(items, self.study, "" if self.study else name))

    def _send_part(self, part: Part) -> None:
        try:
            answer = sending.send(
                self.server, self.report, part,
                f"{STUDIES}{part.study}/images/" if part.study else STUDIES,
                "files",
                self._of_files() if part.study else {"name": part.name, **self.fields},
                self.manifest.csv_for(part.items),
            )  # fmt: skip
        except FileChanged as error:
            self.journal.drop(part)
            self._without(part, str(error))
        except Refused as error:
            self._refused(part, error)
        else:
            self._done(part, str(answer["id"]))

    def _of_files(self) -> Fields:
        return {name: value for name, value in self.fields.items() if name in OF_FILES}

    def _done(self, part: Part, study: str) -> None:
        self.journal.done(part, study)
        self.study = study
        self.outcome.sent += len(part.items)

    def _refused(self, part: Part, error: Refused) -> None:
        if error.code == sending.KEY_REUSED:
            made = part.study or sending.arrived(self.server, self.journal, part)
            if made:
                self._done(part, made)
                return
        self.journal.drop(part)
        if error.code in FULL and part.study:
            self.study = ""
            self._send(part.items)
        elif not error.is_of_the_file:
            raise error
        elif len(part.items) == 1:
            item = part.items[0]
            self.outcome.failed.append((item.file.name, str(error)))
        else:  # one of them is at fault, and the server stored none
            middle = len(part.items) // 2
            self._send(part.items[:middle])
            self._send(part.items[middle:])

    def _without(self, part: Part, path: str) -> None:
        """Send a part's files but for one that has changed meanwhile, as when it is still being copied."""
        left = [item for item in part.items if item.file.path != path]
        name = next(item.file.name for item in part.items if item.file.path == path)
        self.outcome.failed.append((name, "The file changed while it was read. Send it when it is complete."))
        if left:
            self._send(left)


def wait(server: Server, report: Report, study: str) -> None:
    """Wait until a study is finished, and show its progress."""
    while True:
        now = server.get(f"{STUDIES}{study}/", wait=10)
        if now["status"] in ("finished", "cancelled"):
            return
        ended = sum(now["counts"].get(status, 0) for status in ("succeeded", "failed", "cancelled"))
        report.message(f"{ended} of {now['total']} images are read.")


def failures(server: Server, study: str, most: int = 20) -> tuple[int, list[tuple[str, str]]]:
    """How many of a study's images and ZIPs have failed, and why the first did."""
    about = server.get(f"{STUDIES}{study}/")
    # A server that reads manifests lists in the study which of them it could not read.
    errors = [*about["errors"], *(about.get("manifest") or {}).get("errors", ())]
    found = [(error["filename"], f"{error['detail']} ({error['code']})") for error in errors]
    number = about["counts"].get("failed", 0)
    if number:
        page = server.get(f"{STUDIES}{study}/images/", status="failed", page_size=most)
        for image in page["results"]:
            error = image["error"] or {"detail": "It failed.", "code": "unknown"}
            found.append((image["filename"], f"{error['detail']} ({error['code']})"))
    if about["status"] == "cancelled":
        raise ClientError("The study was cancelled.")
    return max(number, len(found)), found[:most]
