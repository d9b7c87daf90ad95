"""What restoring and moving have in common: rows and files come to this installation's database and storage."""

import time
from collections.abc import Callable
from typing import IO

from django.core.files import File
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from webapp.transfer import files, rows
from webapp.transfer.files import Copied, Damaged
from webapp.transfer.rows import Incomplete, Model, NotEmpty, Source

Say = Callable[[str], object]
TARGET = "default"


def load_all(
    source: Source, count: Callable[[Model], int], open_file: Callable[[str], IO[bytes] | File], say: Say
) -> None:
    """Bring everything here, and compare.

    The files come first: a row whose file is not there yet would be a broken promise.

    Args:
        source: the rows.
        count: how many of a model there are.
        open_file: gives the content of a file that a row names.
        say: is told of the progress.

    Raises:
        CommandError: in words for whoever runs the command.
    """
    call_command("migrate", database=TARGET, verbosity=0)
    try:
        rows.prepare(source, TARGET)
        copied = files.copy_all(source, open_file, default_storage, progress(say))
        say(summary(copied, "are here and compared"))
        for model in rows.all_models():
            total, done, told = count(model), 0, time.monotonic()
            for chunk in source(model):
                rows.write(model, chunk, TARGET)
                done += len(chunk)
                if time.monotonic() - told > 5:
                    told = time.monotonic()
                    say(f"  {rows.label(model)}: {done} of {total} rows")
        counts = rows.finish(count, TARGET)
    except (NotEmpty, Incomplete, Damaged) as error:
        raise CommandError(f"{error}.") from error
    say(f"rows: {sum(counts.values())} are here, as many in each table as there were")
    for name, number in counts.items():
        say(f"  {name}: {number}")


def progress(say: Say) -> Callable[[Copied], None]:
    """Tell of the files every five seconds."""
    last = time.monotonic()

    def told(done: Copied) -> None:
        nonlocal last
        if time.monotonic() - last > 5:
            last = time.monotonic()
            say(f"  {done.files} files, {done.bytes / 2**20:.0f} MB")

    return told


def summary(done: Copied, what: str) -> str:
    text = f"files: {done.files} ({done.bytes / 2**20:.1f} MB) {what}"
    if done.there:
        text += f", {done.there} were there already"
    for names, fault in ((done.missing, "that rows name are gone"), (done.damaged, "are not what was stored once")):
        if names:
            text += f"; {len(names)} {fault}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
    return text
