"""Move the data of a `make run` installation from its DATA_DIR to the configured database and storage."""

import fcntl
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.storage.folder import LocalStorage
from webapp.transfer import rows, snapshots
from webapp.transfer.loading import load_all


class Command(BaseCommand):
    help = "Load rows and files from a DATA_DIR with an SQLite database. The service has to be stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", type=Path, help="the DATA_DIR; nothing in it is changed")

    def handle(self, *args: Any, source: Path, **options: Any) -> None:
        database, media = source.resolve() / "db.sqlite3", source.resolve() / "media"
        if not database.is_file():
            raise CommandError(f"{database} is not there; give the DATA_DIR of the service that is to be moved.")
        if str(database) == str(Path(settings.DATABASES["default"]["NAME"]).resolve()):
            raise CommandError("Source and target are the same database; DATABASE_URL names the target.")
        if _runs(source):
            raise CommandError(f"The service still runs on {source}. Stop it first, so that nothing is left behind.")
        with snapshots.file_snapshot(database) as alias:
            # The database may belong to an earlier release.
            call_command("migrate", database=alias, verbosity=0)
            load_all(
                rows.database_source(alias),
                lambda model: rows.count(model, alias),
                # If the files stay in their folder, they are only compared.
                LocalStorage(location=str(media)).open if media.is_dir() else default_storage.open,
                self.stdout.write,
            )


def _runs(data_dir: Path) -> bool:
    """Whether `make run` holds its lock."""
    try:
        with (data_dir / "run" / "lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
