"""Write a backup of the running service."""

import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.transfer import backups
from webapp.transfer.files import Damaged
from webapp.transfer.loading import progress, summary


class Command(BaseCommand):
    help = "Write a backup of rows and files, as they are at one moment, into a TAR. The service may go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        if file.exists():
            raise CommandError(f"{file} is there already; give another name.")
        started = time.monotonic()
        try:
            counts, copied = backups.make(file, progress(self.stdout.write))
        except (Damaged, OSError) as error:
            raise CommandError(f"There is no backup: {error}.") from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used (DATA_DIR is {settings.DATA_DIR}): {error}.") from error
        record(None, Action.BACKUP, bytes=file.stat().st_size)
        self.stdout.write(f"rows: {sum(counts.values())} in {len(counts)} tables")
        self.stdout.write(summary(copied, "are in it"))
        seconds = time.monotonic() - started
        self.stdout.write(f"{file}: {file.stat().st_size / 2**20:.1f} MB after {seconds:.1f} s")
