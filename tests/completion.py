"""Helpers for the tests of finished studies."""

from uuid import uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from webapp.studies.models import Archive, Image, Study
from webapp.studies.outbox.models import Delivery
from webapp.studies.services import reading


def announced(study: Study) -> list[Delivery]:
    """The events that announce a finished study."""
    return [row for row in Delivery.objects.filter(kind="study.finished") if row.payload == {"study": str(study.pk)}]


def succeed(*images: Image) -> int:
    """Read images as one batch, as the worker does; mark those as prepared for the model that are not yet."""
    bundle, token = "net-1.0.0", uuid4()
    for image in images:
        if not image.readings.exists():
            image.readings.create(bundle=bundle, priority=image.priority, dispatched_at=timezone.now())
    claimed = reading.claim(token, uuid4(), bundle, [image.pk for image in images])
    results = [reading.Result(row.image_id, {"PNEUMONIA": 0.9}, 0.9, "PNEUMONIA") for row in claimed]
    return reading.succeed(token, results, reading.Model(bundle, 0.5), seconds=0.1)


def add_archive(study: Study, content: bytes | None = None) -> Archive:
    """Add a ZIP that waits to be unpacked."""
    archive = Archive(study=study, filename="x.zip", total=3, dispatched_at=timezone.now())
    archive.file = default_storage.save(f"archives/{archive.pk}.zip", ContentFile(content or b"no ZIP"))
    archive.save()
    return archive
