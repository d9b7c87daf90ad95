"""Commands that tests run in a container, with its settings: `python -m tests.docker.workers.clinic COMMAND`."""

import json
import os
import sys
from collections import Counter
from uuid import uuid4

import django


def upload(count: str) -> list[str]:
    """Upload images as the API does."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    from tests import synthetic
    from webapp.accounts.identity import Identity
    from webapp.studies.services import uploads

    contents = [synthetic.xray_jpeg(seed, (640, 520)) for seed in range(8)]
    guest = Identity(user=None, guest=uuid4())
    return [
        str(
            uploads.create_image(
                guest, SimpleUploadedFile("chest.jpeg", contents[i % 8]), filename=f"{i}.jpeg", priority="bulk"
            ).pk
        )
        for i in range(int(count))
    ]


def report() -> dict[str, object]:
    """The numbers of images by status and by error code, the number of results, and the workers that can read."""
    from webapp.ops.models import Worker
    from webapp.studies.models import Image, Reading

    return {
        "statuses": dict(Counter(Image.objects.values_list("status", flat=True))),
        "errors": dict(Counter(Image.objects.exclude(error_code="").values_list("error_code", flat=True))),
        "results": Reading.objects.filter(state="succeeded").count(),
        "can_read": list(Worker.objects.filter(role="infer", ready=True).values_list("name", flat=True)),
    }


def reconcile() -> dict[str, object]:
    """Do what beat does every few seconds."""
    from webapp.ops import services

    return dict(services.reconcile())


def clear() -> None:
    """Delete all images."""
    from webapp.studies.models import Image

    Image.objects.all().delete()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.workers")
    django.setup()
    commands = {"upload": upload, "report": report, "reconcile": reconcile, "clear": clear}
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
