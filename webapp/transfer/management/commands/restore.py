"""Restore a backup into an empty installation."""

import tarfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from webapp.transfer import backups
from webapp.transfer.loading import load_all


class Command(BaseCommand):
    help = "Restore a backup into this installation's database and storage, which have to be empty."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            with tarfile.open(file, "r:") as tar:
                settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
                backup = backups.check(tar)
                origin = f"release {backup.manifest['version']}, {backup.manifest['made_at'][:16]}"
                self.stdout.write(f"{file} is whole ({origin})")
                load_all(backup.read, backup.count, backup.open, self.stdout.write)
        except (OSError, tarfile.TarError, backups.NoBackup) as error:
            raise CommandError(f"{file} cannot be restored: {error}.") from error
        except DatabaseError as error:
            raise CommandError(f"The database cannot be used (DATA_DIR is {settings.DATA_DIR}): {error}.") from error
