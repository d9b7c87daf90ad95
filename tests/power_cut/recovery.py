"""``python -m tests.power_cut.recovery CUTS FAILURES``: start the service after each of several power cuts.

Each line of CUTS has a cut's name, the files that it left, and the promises made before it. The broken promises are
written to FAILURES.
"""

import json
import logging
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.power_cut import service


def problems(files: dict[str, str], promises: list[dict[str, Any]]) -> list[str]:
    """The broken promises. A service that does not come back is a problem, too."""
    try:
        return recover(files, promises)
    except Exception as error:
        return [f"the service does not come back: {type(error).__name__}: {error}"]


def recover(files: dict[str, str], promises: list[dict[str, Any]]) -> list[str]:
    """Restore the files that the cut left, do all outstanding work, and compare the outcome with the promises."""
    from django.conf import settings
    from django.db import connection

    connection.close()
    shutil.rmtree(settings.DATA_DIR, ignore_errors=True)
    for folder in ("media", "incoming"):
        (settings.DATA_DIR / folder).mkdir(parents=True)
    for name, content in files.items():
        path = settings.DATA_DIR / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes.fromhex(content))
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        if (answer := cursor.fetchall()) != [("ok",)]:
            return [f"the database is damaged: {answer}"]
    results = [problem for promise in promises if promise["kind"] == "result" for problem in _result_problems(promise)]
    service.work()
    return results + [problem for promise in promises for problem in _file_problems(promise)] + _failures()


def _result_problems(promise: dict[str, Any]) -> list[str]:
    """Check that a result that a client has seen is there before anything is read again."""
    from webapp.studies.models import Image

    image = Image.objects.filter(pk=promise["id"]).first()
    return [] if image and image.status == "succeeded" else [f"the result of image {promise['id']} is gone"]


def _file_problems(promise: dict[str, Any]) -> list[str]:
    from webapp.studies.models import Image

    images = list(Image.objects.filter(**{"study_id" if promise["kind"] == "study" else "pk": promise["id"]}))
    if promise["kind"] == "result":
        return []
    if promise["kind"] == "part":
        return _upload_problems(promise)
    expected = sorted(sha256(bytes.fromhex(content)).hexdigest() for content in promise["contents"])
    stored = []
    for image in images:
        try:
            with image.file.open("rb") as stream:
                stored.append(sha256(stream.read()).hexdigest())
        except OSError as error:
            return [f"{promise['kind']} {promise['id']}: {error}"]
    if sorted(stored) != expected:
        return [f"{promise['kind']} {promise['id']}: the {len(stored)} stored files are not the {len(expected)} sent"]
    return [
        f"image {image.pk} is {image.status} ({image.error_code})" for image in images if image.status != "succeeded"
    ]


def _upload_problems(promise: dict[str, Any]) -> list[str]:
    """Check that the acknowledged bytes of a resumable upload are there, or that it is finished."""
    from webapp.resumable import files
    from webapp.resumable.models import State, Upload

    upload, sent = Upload.objects.filter(pk=promise["id"]).first(), bytes.fromhex(promise["contents"][0])
    if upload is None:
        return [f"upload {promise['id']} is gone"]
    if upload.state == State.FINISHED:
        return []
    if upload.offset < len(sent):
        return [f"upload {upload.pk} has {upload.offset} bytes where {len(sent)} were acknowledged"]
    with files.locked(upload.pk) as file:
        return [] if file.read(len(sent)) == sent else [f"upload {upload.pk} has other bytes"]


def _failures() -> list[str]:
    """Check that nothing has failed, promised or not. A row without its file would fail."""
    from webapp.studies.models import Archive, Image

    return [f"image {image.pk} failed: {image.error_code}" for image in Image.objects.filter(status="failed")] + [
        f"archive {archive.pk} failed: {archive.error_code}" for archive in Archive.objects.filter(state="failed")
    ]


if __name__ == "__main__":
    service.setup()
    logging.disable(logging.CRITICAL)
    with Path(sys.argv[1]).open() as lines:
        cuts = map(json.loads, lines)
        failures = [f"{name}: {problem}" for name, files, promises in cuts for problem in problems(files, promises)]
    Path(sys.argv[2]).write_text(json.dumps(failures))
