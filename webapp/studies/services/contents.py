"""The files of an upload: images, ZIPs, and unreadable files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.core.files import File

from webapp.refusals import Refused
from webapp.studies.files import manifests, names, signatures, zips
from webapp.studies.files.manifests import Manifest


@dataclass(frozen=True)
class FoundManifest:
    """A manifest, or why it cannot be read.

    Attributes:
        filename: its own, or its ZIP's.
        folder: the path in the ZIP from which it names files, with a slash at its end; empty for the root.
        read: its rows and errors.
    """

    filename: str
    read: Manifest | Refused
    folder: str = ""


@dataclass(frozen=True)
class Sent:
    """A file that was sent for a study.

    Attributes:
        file: the upload.
        entries: the files in it where it is a ZIP that can be read.
        refused: why it cannot be read.
        manifest: the one in it.
    """

    file: File
    entries: list[zips.Entry] | None = None
    refused: Refused | None = None
    manifest: FoundManifest | None = None

    @property
    def count(self) -> int:
        """Images that it becomes."""
        return 1 if self.entries is None else len(self.entries)

    @property
    def size(self) -> int:
        """Bytes, those of a ZIP unpacked."""
        return self.file.size if self.entries is None else sum(entry.unpacked_size for entry in self.entries)


@dataclass(frozen=True)
class Contents:
    """The files of an upload.

    Attributes:
        sent: its files.
        skipped: the names of files that operating systems have left in folders.
        manifests: those that were sent beside the files; each ZIP may have its own too.
    """

    sent: list[Sent]
    skipped: list[str] = field(default_factory=list)
    manifests: list[FoundManifest] = field(default_factory=list)


def look_into(files: Sequence[File]) -> Contents:
    """Sort the files of an upload by their kind.

    Files of operating systems are skipped, and a manifest is read, unless there are no other files.

    Raises:
        Refused: where a ZIP cannot be read.
    """
    sent = [_look_into(file, alone=len(files) == 1) for file in files]
    kept = [one for one in sent if not (_is_litter(one) or _is_manifest(one))]
    if not kept:
        return Contents(sent)
    found = [
        FoundManifest(names.filename(str(one.file.name)), _read_manifest(one.file)) for one in sent if _is_manifest(one)
    ]
    return Contents(kept, [str(one.file.name) for one in sent if _is_litter(one)], found)


def _is_manifest(sent: Sent) -> bool:
    """Whether a file is a manifest. An image is an image, whatever its name."""
    return bool(sent.refused) and manifests.is_manifest(str(sent.file.name))


def _read_manifest(file: File) -> Manifest | Refused:
    file.seek(0)
    try:
        return manifests.read(file.read(manifests.MAX_BYTES + 1))
    except Refused as refused:
        return refused


def _manifest_in(archive: zips.Archive, filename: str) -> FoundManifest | None:
    """The manifest in a ZIP. One that cannot be read does not keep its images from being read."""
    if (entry := archive.manifest) is None:
        return None
    folder = entry.filename[: -len(manifests.NAME)]
    if entry.size > manifests.MAX_BYTES:
        return FoundManifest(filename, manifests.too_large(), folder)
    try:
        return FoundManifest(filename, _read_manifest(archive.read(entry)), folder)
    except Refused as refused:
        return FoundManifest(filename, refused, folder)


def _look_into(file: File, *, alone: bool) -> Sent:
    if not signatures.is_zip(file):
        return Sent(file, refused=signatures.refusal(file))
    try:
        with zips.opened(file) as archive:
            archive.check(file.seek(0, io.SEEK_END))
            return Sent(file, entries=archive.entries, manifest=_manifest_in(archive, names.filename(str(file.name))))
    except Refused as refused:
        if alone:
            raise
        if refused.code == "not_an_image":
            # To the uploader a document is not a ZIP but a file beside the images, so it is listed like any other.
            return Sent(file, refused=refused)
        refused.detail = f"{names.filename(str(file.name))}: {refused.detail}"
        raise


def _is_litter(sent: Sent) -> bool:
    """Whether a file is an operating system's. An image is an image, whatever its name."""
    name = str(sent.file.name)
    # The icon of a folder on macOS is called "Icon\r", which a browser sends as "Icon" or "Icon%0D".
    return bool(sent.refused) and (names.is_litter(name) or (name.lower() == "icon" and not sent.file.size))
