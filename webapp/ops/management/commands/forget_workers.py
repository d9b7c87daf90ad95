"""Delete the rows of workers before a start on one machine, when no worker runs."""

from typing import Any

from django.core.management.base import BaseCommand

from webapp.ops.models import Worker


class Command(BaseCommand):
    help = "Forget what workers of an earlier run reported, so that readiness waits for those of this one."

    def handle(self, *args: Any, **options: Any) -> None:
        Worker.objects.all().delete()
