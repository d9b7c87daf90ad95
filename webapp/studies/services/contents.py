"""The files of an upload: images, ZIPs, and unreadable files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.core.files import File

from webapp.refusals import Refused
from webapp.studies.files import manifests, names, signatures, zips
from webapp.studies.files.manifests import Manifest

#: Files beside a CD's images that are named for each ZIP.
LISTED = 100


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
        skipped: the files beside the images of a CD in it, as far as they are listed.
    """

    file: File
    entries: list[zips.Entry] | None = None
    refused: Refused | None = None
    manifest: FoundManifest | None = None
    skipped: tuple[str, ...] = ()

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
        skipped: the names of files that operating systems have left in folders, and of a CD's directory and viewers.
        manifests: those that were sent beside the files; each ZIP may have its own too.
    """

    sent: list[Sent]
    skipped: list[str] = field(default_factory=list)
    manifests: list[FoundManifest] = field(default_factory=list)


def look_into(files: Sequence[File]) -> Contents:
    """Sort the files of an upload by their kind.

    Files of operating systems and those beside a CD's images are skipped, and a manifest is read, unless there are no
    other files.

    Raises:
        Refused: where a ZIP cannot be read.
    """
    sent = [_look_into(file, alone=len(files) == 1) for file in files]
    litter = _litter(sent)
    kept = [one for one in sent if one not in litter and not _is_manifest(one)]
    if not kept:
        return Contents(sent)
    found = [_manifest_of(one.file) for one in sent if _is_manifest(one)]
    skipped = [str(one.file.name) for one in litter] + [name for one in kept for name in one.skipped]
    return Contents(kept, skipped, found)


def lone_manifest(files: Sequence[File]) -> FoundManifest | None:
    """A manifest that was sent without anything else."""
    if len(files) != 1 or not _is_manifest(Sent(files[0], refused=signatures.refusal(files[0]))):
        return None
    return _manifest_of(files[0])


def _manifest_of(file: File) -> FoundManifest:
    name = names.filename(str(file.name))
    return FoundManifest(name, _read_manifest(file), manifests.folder_and_name(name)[0])


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
            name = names.filename(str(file.name))
            skipped = tuple(f"{name}/{names.filename(path)}" for path in archive.beside[:LISTED])
            return Sent(file, entries=archive.entries, manifest=_manifest_in(archive, name), skipped=skipped)
    except Refused as refused:
        if alone:
            raise
        if refused.code == "not_an_image":
            # To the uploader a document is not a ZIP but a file beside the images, so it is listed like any other.
            return Sent(file, refused=refused)
        refused.detail = f"{names.filename(str(file.name))}: {refused.detail}"
        raise


def _litter(sent: Sequence[Sent]) -> list[Sent]:
    """The files of operating systems and, where DICOM files were sent, those beside them on a CD.

    An image is an image, whatever its name, but for DICOM's directory.
    """
    with_dicom = any(one.entries is None and signatures.kind(one.file) == "dicom" for one in sent)
    return [one for one in sent if _is_litter(one, with_dicom=with_dicom)]


def _is_litter(sent: Sent, *, with_dicom: bool) -> bool:
    name = str(sent.file.name)
    if not sent.refused:
        return sent.entries is None and names.is_directory(name)
    # The icon of a folder on macOS is called "Icon\r", which a browser sends as "Icon" or "Icon%0D".
    return (
        names.is_litter(name)
        or (name.lower() == "icon" and not sent.file.size)
        or (with_dicom and names.ending(name) in names.BESIDE_IMAGES)
    )
