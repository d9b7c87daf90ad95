"""One request of an upload: send a part of the journal as a form, and find out whether it has arrived."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from pneumoqueue.files import Body, first_entry_sha256, is_zip
from pneumoqueue.journal import Item, Journal, Part
from pneumoqueue.report import Report
from pneumoqueue.server import IMAGES, STUDIES, Fields, Server

#: The server remembers an idempotency key for a day; an older part has to be searched for.
KEPT_SECONDS = 23 * 3600
#: The key was used before, with another option, manifest or file.
KEY_REUSED = "idempotency_key_reused"


def send(
    server: Server, report: Report, part: Part, path: str, field: str, fields: Fields, manifest: bytes = b""
) -> Any:
    """Send a part's files, streaming them from the disk.

    Args:
        path: where to.
        field: the form's name for a file.
        fields: what the form has besides.
        manifest: the rows for these files, as CSV.

    Raises:
        FileChanged: a file is not what it was when the part was written down.
    """
    start = report.position

    def make_files() -> list[tuple[str, tuple[str, Any]]]:
        report.back_to(start)
        files: list[tuple[str, tuple[str, Any]]] = [
            (field, (item.file.base, Body(item.file, report.advance))) for item in part.items
        ]
        return [*files, (field, ("manifest.csv", manifest))] if manifest else files

    return server.post(path, fields, make_files, key=part.key)


def is_certain(part: Part) -> bool:
    """Whether a part can be sent again safely, since the server still remembers its key."""
    return time.time() - part.made_at < KEPT_SECONDS and all(item.file.is_unchanged for item in part.items)


def arrived(server: Server, journal: Journal, part: Part) -> str:
    """The study or image that a part became which was sent long ago, or whose files have changed since; or nothing.

    A part arrives as a whole, so finding one image is enough.
    """
    hashes = {digest for item in part.items for digest in _hashes(item)}
    since = datetime.fromtimestamp(part.made_at - 3600, timezone.utc).isoformat()
    for place, images in _places(server, part, since):
        there: Counter[str] = Counter()
        for image in images:
            there[image["sha256"]] += 1
            if image["sha256"] in hashes and there[image["sha256"]] > journal.times_sent(image["sha256"]):
                return place or str(image["id"])
    return ""


def _places(server: Server, part: Part, since: str) -> Iterable[tuple[str, Iterable[Any]]]:
    """Where a part's images may be: each study with its images, or an empty id with images outside of studies."""
    if part.study or part.name:
        named = server.pages(STUDIES, created_after=since, search=part.name) if not part.study else ()
        for study in [part.study] if part.study else [str(one["id"]) for one in named]:
            yield study, server.pages(f"{STUDIES}{study}/images/", page_size=500)
    else:
        yield "", server.pages(IMAGES, created_after=since, page_size=500)


def _hashes(item: Item) -> set[str]:
    """The hashes that identify an item's images."""
    if item.file.is_unchanged and is_zip(item.file):
        return {first_entry_sha256(item.file)} - {""}
    return {item.sha256}
