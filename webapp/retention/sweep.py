"""Compare storage and database: find files without a row, and rows whose files are gone.

Once a day, one pass goes through all files by name, and another through all images by id. Each remembers where it
stopped.
"""

import logging
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Prefetch
from django.utils import timezone

from webapp.dicom import results
from webapp.retention.run import Run
from webapp.storage.folder import StorageUnavailable
from webapp.studies.models import Archive, Image, Reading
from webapp.transfer.files import row_files

logger = logging.getLogger(__name__)
T = TypeVar("T")
#: Any: both of this service's storages have ``walk`` and ``delete_many``, which Django's type does not have.
storage: Any = default_storage

#: The folders of the storage that contain only files of rows.
KINDS = ("archives", "inputs", "previews", "uploads")
#: A file younger than this may belong to a row that is not committed yet.
AGE = timedelta(days=1)
#: Time between the end of a complete pass and the next pass.
PAUSE = timedelta(hours=23)
CHUNK = 500
THREADS = 8
#: If there are more orphans than this, and they are more than half of all files, this is probably the wrong database.
SUSPICIOUS = 100
REPORTED = 100


class TooManyOrphans(Exception):
    """More than half of the files have no row."""


def delete_orphans(run: Run) -> None:
    """Delete files without a row that are older than a day.

    Raises:
        TooManyOrphans: more than half of the files have no row, and the run is not forced.
    """
    position = _position(run, "orphans")
    if position is None:
        return
    seen = orphans = 0
    latest = time.time() - AGE.total_seconds()
    for kind in KINDS:
        if position and kind < position.split("/")[0]:
            continue
        for files in _chunks(storage.walk(kind, after=position)):
            if not run.has_time():
                _remember(run, "orphans", position)
                return
            named = _named([file.name for file in files])
            unused = {file.name: file.size for file in files if file.modified < latest and file.name not in named}
            seen, orphans = seen + len(files), orphans + len(unused)
            if orphans > max(SUSPICIOUS, seen / 2) and not run.force:
                raise TooManyOrphans(
                    f"{orphans} of {seen} files have no row. If the database is the right one, use --force"
                )
            failed = [] if run.dry else storage.delete_many(list(unused))
            run.removed["orphans"] += len(unused) - len(failed)
            run.removed["orphan_bytes"] += sum(size for name, size in unused.items() if name not in failed)
            position = files[-1].name
    _remember(run, "orphans", None)


def delete_result_files(run: Run) -> None:
    """Delete the files of DICOM objects that were created on request. They are created again when needed."""
    latest = time.time() - results.FILES_KEPT.total_seconds()
    for files in _chunks(storage.walk(results.FOLDER)):
        old = [file.name for file in files if file.modified < latest]
        if not run.dry and run.has_time():
            run.removed["result files"] += len(old) - len(storage.delete_many(old))


def _named(names: list[str]) -> set[str]:
    """The files that rows refer to. A file's name starts with its row's id, an input's name with its image's id."""
    ids = []
    for name in names:
        try:
            ids.append(UUID(PurePosixPath(name).name[:36]))
        except ValueError:
            continue
    images = Image.objects.filter(pk__in=ids).only("file", "preview", "preview_sha256", "sha256")
    readings = Reading.objects.filter(image__in=ids).only("input")
    archives = Archive.objects.filter(pk__in=ids).only("file", "state")
    return {file.name for row in (*images, *readings, *archives) for file in row_files(row)}


def find_missing(run: Run) -> None:
    """Report the images whose files are gone."""
    position = _position(run, "missing")
    if position is None:
        return
    if not storage.is_there():
        raise StorageUnavailable("the storage does not answer")
    inputs = Prefetch("readings", Reading.objects.only("image", "input"))
    images = Image.objects.order_by("pk").only("file", "preview", "preview_sha256", "sha256").prefetch_related(inputs)
    with ThreadPoolExecutor(THREADS) as threads:
        while chunk := list((images.filter(pk__gt=UUID(position)) if position else images)[:CHUNK]):
            if not run.has_time():
                _remember(run, "missing", position)
                return
            rows = [(image, row) for image in chunk for row in (image, *image.readings.all())]
            files = [(image, file.name) for image, row in rows for file in row_files(row)]
            existing = threads.map(storage.exists, [name for _, name in files])
            gone = {image.pk for (image, _), exists in zip(files, existing, strict=True) if not exists}
            # Some images may have been deleted since they were listed.
            for pk in Image.objects.filter(pk__in=gone).values_list("pk", flat=True):
                run.removed["rows_without_files"] += 1
                logger.warning("image %s has no file", pk, extra={"image_id": str(pk)})
                if len(run.report.missing) < REPORTED:
                    run.report.missing.append(str(pk))
            position = str(chunk[-1].pk)
    _remember(run, "missing", None)


def delete_broken_off_uploads(run: Run) -> None:
    """Delete incomplete uploads that a killed web process has left behind."""
    if not settings.FILE_UPLOAD_TEMP_DIR:
        return
    latest = time.time() - AGE.total_seconds()
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*"):
        if run.has_time() and path.stat().st_mtime < latest:
            run.removed["broken_off_uploads"] += 1
            if run.dry:
                continue
            if path.is_dir():  # of a request with several parts
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _position(run: Run, name: str) -> str | None:
    """The position at which a pass continues, empty at its start; None if the last pass ended recently."""
    if run.dry or run.force:
        return ""
    stored: dict[str, Any] = run.report.positions.get(name, {})
    if (done := stored.get("done_at")) and timezone.now() - datetime.fromisoformat(done) < PAUSE:
        return None
    return str(stored.get("after", ""))


def _remember(run: Run, name: str, after: str | None) -> None:
    run.report.positions[name] = {"done_at": timezone.now().isoformat()} if after is None else {"after": after}


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
