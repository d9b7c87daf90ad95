"""``status``, ``results`` and ``delete``."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from pneumoqueue.errors import ClientError, UsageError
from pneumoqueue.server import IMAGES, STUDIES, Server

#: A table up to this size stays in memory.
IN_MEMORY = 8 * 2**20
LATEST = 20


def job(server: Server, pk: str) -> tuple[str, Any]:
    """The address of a study or image, and its fields from the server.

    Raises:
        ClientError: there is none of this id.
    """
    if not pk or set(pk) - set("0123456789abcdefABCDEF-"):
        raise UsageError(f"{pk!r} is no id of a study or image.")
    for kind in (STUDIES, IMAGES):
        found = server.find(f"{kind}{pk}/")
        if found is not None:
            return f"{kind}{pk}/", found
    raise ClientError(f"There is no study or image {pk}, or it is not yours to see. (not_found)")


def status(server: Server, pk: str | None, *, as_json: bool) -> None:
    """Show one study or image, or the latest studies."""
    found = job(server, pk)[1] if pk is not None else server.get(STUDIES, page_size=LATEST)["results"]
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    if pk is None:
        table = Table(Column("id", no_wrap=True), "name", "status", "images", Column("created", no_wrap=True), box=None)
        for study in found:
            table.add_row(study["id"], escape(study["name"]), study["status"], _counts(study), study["created_at"][:10])
        console.print(table)
    elif "counts" in found:
        console.print(f"study {found['id']}  {escape(found['name'])}\n{found['status']}: {_counts(found)}")
        console.print(found["page_url"])
    else:
        console.print(f"image {found['id']}  {escape(found['filename'])}\n{found['status']}: {escape(_finding(found))}")
        console.print(found["page_url"])


def _counts(study: Any) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in study["counts"].items() if number)
    return f"{study['total']}{f' ({counts})' if counts else ''}"


def _finding(image: Any) -> str:
    if image["error"]:
        return f"{image['error']['detail']} ({image['error']['code']})"
    if image["probability"] is None:
        return "no result yet"
    if image.get("verdict"):  # which servers before 0.3 do not tell
        verdict = ", ".join(filter(None, (image["verdict"], image["verdict_kind"])))
        return f"{verdict} by a reader; the model: {_answer(image)}"
    return _answer(image)


def _answer(image: Any) -> str:
    if image["result_group"] == "unusable":  # its probability says nothing
        return f"unusable: {' '.join(warning['detail'] for warning in image['warnings'])}"
    return f"{image['result_group']}, probability of pneumonia {image['probability']:.3f}"


def results(server: Server, pk: str, *, as_json: bool, output: str | None) -> None:
    """Write a study's results, as the server's table or as a JSON array of images."""
    path, found = job(server, pk)
    if "counts" not in found:
        raise UsageError("This is an image; results are those of a study. See: pneumoqueue status")
    with _written(output) as file:
        if as_json:
            _json(server, f"{path}images/", file)
        else:
            with tempfile.SpooledTemporaryFile(IN_MEMORY) as table:
                server.download(f"{path}results.csv", table)
                table.seek(0)
                shutil.copyfileobj(table, file)


def _json(server: Server, path: str, file: IO[bytes]) -> None:
    """Some images at a time, so that a study of any size fits in memory."""
    file.write(b"[")
    for number, image in enumerate(server.pages(path, page_size=500)):
        line = json.dumps(image, ensure_ascii=False)
        file.write(f"{',' if number else ''}\n{line}".encode())
    file.write(b"\n]\n")


@contextlib.contextmanager
def _written(output: str | None) -> Iterator[IO[bytes]]:
    """Standard output, or a file that is there only when it is whole."""
    if output in (None, "-"):
        yield sys.stdout.buffer
        return
    target = Path(output or "")
    unfinished = target.with_name(f".{target.name}.part")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}.") from None
    finally:
        unfinished.unlink(missing_ok=True)


def delete(server: Server, pk: str, *, sure: bool) -> None:
    """Delete a study or an image with all that belongs to it, if the user is sure."""
    path, found = job(server, pk)
    what = f"the study {found['name'] or pk} with {found['total']} images" if "counts" in found else found["filename"]
    if not sure:
        if not sys.stdin.isatty():
            raise UsageError("Nobody can be asked here whether to delete it. Say --yes.")
        print(f"Delete {what} for good, with its files and results? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise ClientError("Nothing was deleted.")
    server.delete(path)
    print(f"Deleted {what}.", file=sys.stderr)
