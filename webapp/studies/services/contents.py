"""The files of an upload: images, ZIPs, and unreadable files."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.core.files import File

from webapp.refusals import Refused
from webapp.studies.files import manifests, names, signatures, zips
from webapp.studies.files.manifests import Manifest

#: Number of skipped files that are listed for each ZIP with a CD.
LISTED = 100


@dataclass(frozen=True)
class FoundManifest:
    """A manifest, or the reason why it cannot be read.

    Attributes:
        filename: the name of its file, or of the ZIP that it is in.
        read: its rows and warnings, or the reason.
        folder: the folder that its paths are relative to, with a slash at the end; empty for the root.
    """

    filename: str
    read: Manifest | Refused
    folder: str = ""


@dataclass(frozen=True)
class SentFile:
    """A file that was sent for a study.

    Attributes:
        file: the upload.
        entries: the files in it, if it is a ZIP that can be read.
        refused: why it cannot be read.
        manifest: the manifest in it.
        skipped: the first :data:`LISTED` skipped files of a CD in it.
    """

    file: File
    entries: list[zips.Entry] | None = None
    refused: Refused | None = None
    manifest: FoundManifest | None = None
    skipped: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """The number of images that it becomes."""
        return 1 if self.entries is None else len(self.entries)

    @property
    def size(self) -> int:
        """The number of bytes; for a ZIP, those of its unpacked files."""
        return self.file.size if self.entries is None else sum(entry.unpacked_size for entry in self.entries)


@dataclass(frozen=True)
class Contents:
    """The files of an upload.

    Attributes:
        sent: the files that become images.
        skipped: the names of skipped files: files that operating systems leave in folders, and a CD's directory and
            viewer programs.
        manifests: the manifests that were sent next to the files. Each ZIP may contain another.
    """

    sent: list[SentFile]
    skipped: list[str] = field(default_factory=list)
    manifests: list[FoundManifest] = field(default_factory=list)


def look_into(files: Sequence[File]) -> Contents:
    """Sort the files of an upload into images, manifests and files to skip.

    If the upload has no images, nothing is skipped and no manifest is read.

    Raises:
        Refused: a ZIP cannot be read.
    """
    sent = [_look_into(file, alone=len(files) == 1) for file in files]
    litter = _litter(sent)
    kept = [upload for upload in sent if upload not in litter and not _is_manifest(upload)]
    if not kept:
        return Contents(sent)
    found_manifests = [_manifest_of(upload.file) for upload in sent if _is_manifest(upload)]
    skipped = [str(upload.file.name) for upload in litter] + [name for upload in kept for name in upload.skipped]
    return Contents(kept, skipped, found_manifests)


def lone_manifest(files: Sequence[File]) -> FoundManifest | None:
    """Return the manifest if it is the only file of an upload."""
    if len(files) != 1 or not _is_manifest(SentFile(files[0], refused=signatures.refusal(files[0]))):
        return None
    return _manifest_of(files[0])


def _manifest_of(file: File) -> FoundManifest:
    name = names.filename(str(file.name))
    return FoundManifest(name, _read_manifest(file), manifests.folder_and_name(name)[0])


def _is_manifest(sent: SentFile) -> bool:
    """Whether a file is a manifest. An image is never one, whatever its name."""
    return bool(sent.refused) and manifests.is_manifest(str(sent.file.name))


def _read_manifest(file: File) -> Manifest | Refused:
    file.seek(0)
    try:
        return manifests.read(file.read(manifests.MAX_BYTES + 1))
    except Refused as refused:
        return refused


def _manifest_in(archive: zips.Archive, filename: str) -> FoundManifest | None:
    """Return the manifest in a ZIP. The images can be read even if the manifest cannot."""
    if (entry := archive.manifest) is None:
        return None
    folder = entry.filename[: -len(manifests.NAME)]
    if entry.size > manifests.MAX_BYTES:
        return FoundManifest(filename, manifests.too_large(), folder)
    try:
        return FoundManifest(filename, _read_manifest(archive.read(entry)), folder)
    except Refused as refused:
        return FoundManifest(filename, refused, folder)


def _look_into(file: File, *, alone: bool) -> SentFile:
    if not signatures.is_zip(file):
        return SentFile(file, refused=signatures.refusal(file))
    try:
        with zips.opened(file) as archive:
            archive.check(file.seek(0, io.SEEK_END))
            name = names.filename(str(file.name))
            skipped = tuple(f"{name}/{names.filename(path)}" for path in archive.disc_files[:LISTED])
            return SentFile(file, entries=archive.entries, manifest=_manifest_in(archive, name), skipped=skipped)
    except Refused as refused:
        if alone:
            raise
        if refused.code == "not_an_image":
            # To the uploader, an office document is not a ZIP but an unreadable file, so it is listed like any other.
            return SentFile(file, refused=refused)
        refused.detail = f"{names.filename(str(file.name))}: {refused.detail}"
        raise


def _litter(sent: Sequence[SentFile]) -> list[SentFile]:
    """Return the files to skip: files of operating systems and, next to DICOM files, the other files of a CD.

    An image is never skipped, whatever its name, except a DICOM directory.
    """
    with_dicom = any(upload.entries is None and signatures.kind(upload.file) == "dicom" for upload in sent)
    return [upload for upload in sent if _is_litter(upload, with_dicom=with_dicom)]


def _is_litter(sent: SentFile, *, with_dicom: bool) -> bool:
    name = str(sent.file.name)
    if not sent.refused:
        return sent.entries is None and names.is_directory(name)
    # macOS names the icon of a folder "Icon\r", which browsers send as "Icon" or "Icon%0D".
    return (
        names.is_litter(name)
        or (name.lower() == "icon" and not sent.file.size)
        or (with_dicom and names.ending(name) in names.DISC_ENDINGS)
    )
