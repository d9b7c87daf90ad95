"""Backups: one TAR with the rows of every table, the files that they refer to, and a checksum of each.

The format does not depend on the database, so a backup can be restored into any other database by the same release.
"""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import models
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from webapp.storage.folder import sync
from webapp.studies.models import Archive
from webapp.transfer import files, rows, snapshots
from webapp.transfer.files import Copied, Damaged, NamedFile
from webapp.transfer.rows import CHUNK, Model, all_models, label

FORMAT = 1
MANIFEST = "manifest.json"
#: Attempts to take a snapshot. A ZIP may be unpacked and deleted just before it is opened; its images are then in the
#: next snapshot.
SNAPSHOTS = 10


class NoBackup(Exception):
    """The file is not a backup, or is incomplete."""


@dataclass
class Backup:
    """A backup that has been read completely and whose checksums match."""

    tar: tarfile.TarFile
    manifest: dict[str, Any]
    members: dict[str, tarfile.TarInfo] = field(repr=False)

    def read(self, model: Model) -> Iterator[list[models.Model]]:
        """The rows of a model, in chunks."""
        member = self.members.get(f"rows/{label(model)}.jsonl")
        stream = self.tar.extractfile(member) if member else None
        chunk: list[models.Model] = []
        for line in stream or ():
            chunk.append(rows.from_text(model, line.decode()))
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def count(self, model: Model) -> int:
        return int(self.manifest["rows"].get(label(model), 0))

    def open(self, name: str) -> IO[bytes]:
        """A file's content. It is copied completely, because several threads may open files at the same time."""
        member = self.members.get(f"files/{name}")
        if member is None:
            raise FileNotFoundError(name)
        content = tempfile.SpooledTemporaryFile(max_size=8 * 2**20)  # noqa: SIM115  (the caller closes it)
        with Path(str(self.tar.name)).open("rb") as source:
            source.seek(member.offset_data)
            remaining = member.size
            while remaining and (part := source.read(min(remaining, 2**20))):
                content.write(part)
                remaining -= len(part)
        content.seek(0)
        return content


def make(path: Path, report: Callable[[Copied], Any]) -> tuple[dict[str, int], Copied]:
    """Write a backup of the running service.

    Args:
        path: the file. It appears only when it is complete.
        report: called from time to time with the progress.

    Returns:
        The number of rows by table, and the outcome of copying the files.
    """
    part = path.with_name(path.name + ".part")
    part.touch(mode=0o600)
    checksums: dict[str, str] = {}
    with ExitStack() as held, tarfile.open(part, "w") as tar, tempfile.TemporaryFile("w+") as file_list:
        held.callback(part.unlink, missing_ok=True)  # already renamed after success
        counts, zips = _rows(tar, checksums, file_list, held)
        done = Copied()
        file_list.seek(0)
        for line in file_list:
            name, sha256 = line.rstrip("\n").split("\t")
            _file(tar, checksums, NamedFile(name, sha256), zips, done)
            if done.files % 100 == 0:
                report(done)
        manifest = {
            "format": FORMAT,
            "version": settings.VERSION,
            "made_at": timezone.now().isoformat(),
            "migrations": _migrations(),
            "rows": counts,
            "missing": done.missing,
            "damaged": done.damaged,
            "sha256": checksums,
        }
        content = json.dumps(manifest, indent=1).encode()
        _add(tar, {}, MANIFEST, io.BytesIO(content), len(content))
        tar.close()
        sync(str(part))
        part.replace(path)
        sync(str(path.absolute().parent))
    return {name: number for name, number in counts.items() if number}, done


def _rows(
    tar: tarfile.TarFile, checksums: dict[str, str], file_list: IO[str], held: ExitStack
) -> tuple[dict[str, int], dict[str, File]]:
    """Write all rows of one snapshot, and list the files that they refer to."""
    for _ in range(SNAPSHOTS):
        with snapshots.database_snapshot() as alias:
            source = rows.database_source(alias)
            try:
                queued = Archive.objects.using(alias).filter(state__in=Archive.PENDING)
                names = [str(archive.file.name) for archive in queued]
                zips = {name: held.enter_context(default_storage.open(name)) for name in names}
            except FileNotFoundError:
                continue
            counts = {}
            for model in all_models():
                with tempfile.TemporaryFile() as lines:
                    counts[label(model)] = 0
                    for chunk in source(model):
                        counts[label(model)] += len(chunk)
                        lines.writelines(rows.to_text(row).encode() + b"\n" for row in chunk)
                        file_list.writelines(
                            f"{file.name}\t{file.sha256}\n" for row in chunk for file in files.row_files(row)
                        )
                    size = lines.tell()
                    lines.seek(0)
                    _add(tar, checksums, f"rows/{label(model)}.jsonl", lines, size)
            return counts, zips
    raise Damaged(f"a ZIP that waits to be unpacked is gone from the storage: {', '.join(names)}")


def _file(
    tar: tarfile.TarFile, checksums: dict[str, str], named: NamedFile, zips: dict[str, File], done: Copied
) -> None:
    try:
        content = zips.get(named.name) or default_storage.open(named.name)
    except FileNotFoundError:
        done.missing.append(named.name)
        return
    member = f"files/{named.name}"
    with content:
        _add(tar, checksums, member, content, content.size)
        done.files += 1
        done.bytes += content.size
    if named.sha256 not in ("", checksums[member]):
        done.damaged.append(named.name)


class _Digesting:
    """Passes a file's content on, and computes its checksum."""

    def __init__(self, content: IO[bytes] | File) -> None:
        self._content = content
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        part: bytes = self._content.read(size)
        self.digest.update(part)
        return part


def _add(tar: tarfile.TarFile, checksums: dict[str, str], name: str, content: IO[bytes] | File, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(timezone.now().timestamp())
    digesting = _Digesting(content)
    tar.addfile(info, digesting)
    checksums[name] = digesting.digest.hexdigest()


def check(tar: tarfile.TarFile) -> Backup:
    """Read a whole backup and compare every checksum, before anything is written anywhere.

    Raises:
        NoBackup: the file is not a backup, is damaged, or was made by another release.
    """
    actual: dict[str, str] = {}
    members: dict[str, tarfile.TarInfo] = {}
    manifest: dict[str, Any] | None = None
    try:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is None:
                raise NoBackup(f"{member.name} does not belong into a backup")
            if member.name == MANIFEST:
                manifest = json.loads(stream.read())
                continue
            members[member.name] = member
            actual[member.name] = files.digest_of(stream)[0]
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise NoBackup(f"the file is damaged: {error}") from error
    if manifest is None or manifest.get("format") != FORMAT:
        raise NoBackup("the file is no backup, or its end is missing")
    if damaged := [name for name in {*actual, *manifest["sha256"]} if actual.get(name) != manifest["sha256"].get(name)]:
        raise NoBackup(f"{len(damaged)} members are missing or damaged, {damaged[0]} among them")
    if manifest["migrations"] != _migrations():
        raise NoBackup(
            f"release {manifest['version']} made it, whose tables are others; restore it with that one and upgrade then"
        )
    return Backup(tar, manifest, members)


def _migrations() -> list[str]:
    """The latest migrations of this release, which identify its schema."""
    leaves = MigrationLoader(None, ignore_no_migrations=True).graph.leaf_nodes()
    return sorted(f"{app}.{name}" for app, name in leaves)
