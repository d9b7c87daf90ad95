"""Print a one-time link with which a user sets a new password."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from webapp.accounts.passwords import reset_link


class Command(BaseCommand):
    help = "Print a link by which a user sets a new password. It works once, for three days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user with the name {options['username']}.")
        self.stdout.write(reset_link(user))
