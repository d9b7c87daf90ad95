"""Check the installation, and say how to correct it."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from webapp.ops import doctor


class Command(BaseCommand):
    help = "Check settings, database, broker, storage, model, workers, disk, clock, mail and certificate."
    #: The doctor itself runs Django's checks.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--before-start", action="store_true", help="only what keeps a start on one machine from working"
        )

    def handle(self, *args: Any, before_start: bool, **options: Any) -> None:
        findings = doctor.before_start() if before_start else doctor.everything()
        for finding in findings:
            word = "ok  " if finding.ok else "BAD "
            self.stdout.write(f"{word}{finding.name:<12} {finding.message}")
            if finding.todo:
                self.stdout.write(f"{'':<17}{finding.todo}")
        if not all(finding.ok for finding in findings):
            sys.exit(2)
