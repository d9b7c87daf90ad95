"""Load rows and files into this installation's database and storage, for restoring and moving."""

import time
from collections.abc import Callable
from typing import IO

from django.core.files import File
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from webapp.transfer import files, rows
from webapp.transfer.files import Copied, Damaged
from webapp.transfer.rows import Incomplete, Model, NotEmpty, Source

Write = Callable[[str], object]
TARGET = "default"


def load_all(
    source: Source, count: Callable[[Model], int], open_file: Callable[[str], IO[bytes] | File], write: Write
) -> None:
    """Load all rows and files, and compare them with the source.

    Files are copied first, so that no row ever refers to a missing file.

    Args:
        source: the rows.
        count: returns the number of a model's rows.
        open_file: returns the content of a file that a row refers to.
        write: prints a line of progress.

    Raises:
        CommandError: with a message for the person who runs the command.
    """
    call_command("migrate", database=TARGET, verbosity=0)
    try:
        rows.prepare(source, TARGET)
        copied = files.copy_all(source, open_file, default_storage, progress(write))
        write(summary(copied, "are here and compared"))
        for model in rows.all_models():
            total, done, reported = count(model), 0, time.monotonic()
            for chunk in source(model):
                rows.write(model, chunk, TARGET)
                done += len(chunk)
                if time.monotonic() - reported > 5:
                    reported = time.monotonic()
                    write(f"  {rows.label(model)}: {done} of {total} rows")
        counts = rows.finish(count, TARGET)
    except (NotEmpty, Incomplete, Damaged) as error:
        raise CommandError(f"{error}.") from error
    write(f"rows: {sum(counts.values())} are here, as many in each table as there were")
    for name, number in counts.items():
        write(f"  {name}: {number}")


def progress(write: Write) -> Callable[[Copied], None]:
    """A callback that reports the files copied so far, at most every five seconds."""
    last = time.monotonic()

    def report(done: Copied) -> None:
        nonlocal last
        if time.monotonic() - last > 5:
            last = time.monotonic()
            write(f"  {done.files} files, {done.bytes / 2**20:.0f} MB")

    return report


def summary(done: Copied, what: str) -> str:
    text = f"files: {done.files} ({done.bytes / 2**20:.1f} MB) {what}"
    if done.existing:
        text += f", {done.existing} were there already"
    for names, fault in ((done.missing, "that rows name are gone"), (done.damaged, "are not what was stored once")):
        if names:
            text += f"; {len(names)} {fault}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
    return text
