"""Run the purge by hand."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webapp.retention.services import purge


class Command(BaseCommand):
    help = "Delete what has expired and files that no row names, and report rows whose files are gone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
        parser.add_argument("--seconds", type=float, default=24 * 3600, help="end after so long (default: a day)")
        parser.add_argument(
            "--force", action="store_true", help="sweep the whole storage, even if most files have no row"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        report = purge(options["seconds"], dry=options["dry_run"], force=options["force"])
        self.stdout.write(f"{'would delete' if options['dry_run'] else 'deleted'}: {report}")
        for pk in report.missing:
            self.stdout.write(f"image {pk} has no file")
        if report.errors:
            raise CommandError("; ".join(report.errors))
        if not report.complete:
            self.stdout.write("the time is over; run it again for the rest")
