"""Verify or export the audit record."""

import csv
import json
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from webapp.audit import chain
from webapp.audit.export import COLUMNS, rows
from webapp.audit.models import Entry


class Command(BaseCommand):
    help = "Verify the audit record, or write it to the standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        verify = commands.add_parser("verify", help="compare every entry with the chain; fails where one was changed")
        verify.add_argument(
            "--anchor", action="append", default=[], metavar="POSITION:HASH",
            help="an end of the chain that the log or the metrics have named: it must still be there",
        )  # fmt: skip
        export = commands.add_parser("export", help="all entries, the oldest first")
        export.add_argument("--format", choices=("csv", "jsonl"), default="csv")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["command"] == "verify":
            self._verify(options["anchor"])
        else:
            self._export(options["format"])

    def _verify(self, anchors: list[str]) -> None:
        ends, problems = chain.verify()
        problems += [f"the anchor {anchor} is not in the chain" for anchor in anchors if not self._has(anchor)]
        if problems:
            raise CommandError("The audit record is not as it was written: " + "; ".join(problems) + ".")
        self.stdout.write(f"{ends.head - ends.base} entries are as they were written.")
        self.stdout.write(f"The chain ends at {ends.head}:{ends.head_hash}")

    @staticmethod
    def _has(anchor: str) -> bool:
        position, _, digest = anchor.partition(":")
        return position.isdecimal() and Entry.objects.filter(position=int(position), hash=digest).exists()

    def _export(self, form: str) -> None:
        entries = rows(Entry.objects.all())
        if form == "csv":
            writer = csv.writer(self.stdout)
            writer.writerow(COLUMNS)
            writer.writerows(row.values() for row in entries)
            return
        for row in entries:
            self.stdout.write(json.dumps(row))
