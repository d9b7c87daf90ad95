"""Create the user ``admin`` on the first start."""

import os
import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Make the user 'admin' with ADMIN_PASSWORD, or with a random password that is printed once."

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model().objects
        configured = os.environ.get("ADMIN_PASSWORD", "")
        admin = users.filter(username="admin").first()
        if admin is None:
            password = configured or secrets.token_urlsafe(12)
            users.create_superuser("admin", password=password)
            if not configured:
                self.stdout.write(f"made the user 'admin' with the password {password} (shown only now)")
        elif configured and not admin.check_password(configured):
            admin.set_password(configured)
            admin.save(update_fields=["password"])
            self.stdout.write("changed the password of 'admin' to ADMIN_PASSWORD")
