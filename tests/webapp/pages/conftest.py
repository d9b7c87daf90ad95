"""Browsers, and images in any state with a guest as their owner, for tests of the pages."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.conf import settings as configured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from tests.webapp.rows import make_reading
from webapp.accounts.identity import make_token
from webapp.studies.choices import Status, group_of
from webapp.studies.models import Image


@pytest.fixture
def guest() -> UUID:
    return uuid4()


@pytest.fixture
def browser(guest: UUID) -> Client:
    """The guest's browser."""
    client = Client()
    client.cookies[configured.GUEST_COOKIE] = make_token(guest)
    return client


def other_user() -> Client:
    client = Client()
    client.cookies[configured.GUEST_COOKIE] = make_token(uuid4())
    return client


def image(guest: UUID | None, status: str = Status.QUEUED, **fields) -> Image:
    now = timezone.now()
    values = {"filename": "chest.jpeg", "file": "uploads/none.jpeg", "size": 1, "dispatched_at": now, **fields}
    return Image.objects.create(guest=guest, status=status, **values)


def read(guest: UUID | None, probability: float = 0.913, threshold: float = 0.4, **fields) -> Image:
    """An image with a result; unclear from a probability of 0.2 on."""
    now = timezone.now()
    points = {"balanced": threshold, "screening": 0.2}
    warnings = [{"code": "unusual_shape", "detail": "The image is much wider than a chest X-ray."}]
    overrides = {
        name: fields.pop(name)
        for name in ("heatmap", "warnings", "attempts", "evidence_inside_lungs")
        if name in fields
    }
    xray = image(
        guest,
        Status.SUCCEEDED,
        preview="previews/none.jpg",
        ingest_started_at=now,
        finished_at=now + timedelta(seconds=2),
        **fields,
    )
    reading_fields = {"warnings": warnings, **overrides}
    make_reading(
        xray,
        bundle="vgg16-pneumonia-1.0.0",
        state=Status.SUCCEEDED,
        input="inputs/none.png",
        ready_at=now + timedelta(seconds=0.5),
        claimed_at=now + timedelta(seconds=1),
        probabilities={"NORMAL": 1 - probability, "PNEUMONIA": probability},
        probability=probability,
        threshold=threshold,
        operating_point="balanced",
        operating_points=points,
        label="PNEUMONIA" if probability >= threshold else "NORMAL",
        group=group_of(probability, threshold, points, reading_fields["warnings"]),
        batch_size=3,
        seconds=0.25,
        **reading_fields,
    )
    return xray


def upload(browser: Client, *files: tuple[str, bytes]):
    sent = [SimpleUploadedFile(name, content) for name, content in files]
    return browser.post("/upload/", {"files": sent})
