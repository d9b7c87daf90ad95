"""What was sent for a study: images, ZIPs, and what cannot be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.core.files import File

from webapp.refusals import Refused
from webapp.studies.files import names, signatures, zips


@dataclass(frozen=True)
class Sent:
    """A file that was sent for a study.

    Attributes:
        file: the upload.
        entries: the files in it where it is a ZIP that can be read.
        refused: why it cannot be read.
    """

    file: File
    entries: list[zips.Entry] | None = None
    refused: Refused | None = None

    @property
    def count(self) -> int:
        """Images that it becomes."""
        return 1 if self.entries is None else len(self.entries)

    @property
    def size(self) -> int:
        """Bytes, those of a ZIP unpacked."""
        return self.file.size if self.entries is None else sum(entry.unpacked_size for entry in self.entries)


def look_into(files: Sequence[File]) -> tuple[list[Sent], list[str]]:
    """Find out what the files of a study are.

    What operating systems leave in folders is skipped, unless there is nothing else.

    Returns:
        The files that were sent, and the names of those that were skipped.

    Raises:
        Refused: where a ZIP cannot be read.
    """
    sent = [_look_into(file, alone=len(files) == 1) for file in files]
    kept = [one for one in sent if not _is_litter(one)] or sent
    return kept, [str(one.file.name) for one in sent if one not in kept]


def _look_into(file: File, *, alone: bool) -> Sent:
    if not signatures.is_zip(file):
        return Sent(file, refused=signatures.refusal(file))
    try:
        return Sent(file, entries=zips.entries(file))
    except Refused as refused:
        if alone:
            raise
        if refused.code == "not_an_image":
            # To whoever sent it, a document is no ZIP but a file beside the images, and is listed like any other.
            return Sent(file, refused=refused)
        refused.detail = f"{names.filename(str(file.name))}: {refused.detail}"
        raise


def _is_litter(sent: Sent) -> bool:
    """Whether an operating system made a file. What is an image is one, whatever it is called."""
    name = str(sent.file.name)
    # Of the name of a folder's icon on macOS, "Icon\r", a browser sends "Icon" or "Icon%0D".
    return bool(sent.refused) and (names.is_litter(name) or (name.lower() == "icon" and not sent.file.size))
