"""Radiologists' verdicts: who may give them, and how they are exported for training."""

import csv
import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from ml.dataset import extra
from tests.webapp.rows import radiologists
from webapp.accounts.identity import Identity
from webapp.reviews import export, services
from webapp.reviews.models import Review
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient
from webapp.studies.outbox.models import Delivery

pytestmark = pytest.mark.django_db


@pytest.fixture
def radiologist(user: User) -> User:
    user.groups.add(radiologists())
    return user


@pytest.fixture
def image(make_image: Callable[..., Image], read: Callable[..., None], user: User) -> Image:
    new_image = make_image(Status.READY, owner=user)
    read(new_image)
    new_image.refresh_from_db()
    return new_image


def url(image: Image) -> str:
    return f"/api/v1/images/{image.pk}/reviews/"


def put(client: Client, image: Image, verdict: str, comment: str = "") -> Any:
    return client.put(url(image), {"verdict": verdict, "comment": comment}, content_type="application/json")


def test_a_verdict_is_stored_and_can_be_changed(radiologist: User, user_client: Client, image: Image) -> None:
    assert put(user_client, image, "PNEUMONIA").json()["reviewer"] == "ada"
    answer = put(user_client, image, "NORMAL", "an artefact")
    assert answer.status_code == 200
    (review,) = user_client.get(url(image)).json()
    assert (review["verdict"], review["comment"]) == ("NORMAL", "an artefact")


def test_each_verdict_that_changes_the_result_is_announced_once(
    radiologist: User, user_client: Client, image: Image
) -> None:
    announced = Delivery.objects.filter(kind="image.corrected")
    for verdict, number in (("PNEUMONIA", 0), ("NORMAL", 1), ("NORMAL", 1), ("PNEUMONIA", 2)):
        put(user_client, image, verdict)
        assert [row.payload for row in announced.all()] == [{"images": [str(image.pk)]}] * number
    image.refresh_from_db()
    services.ask_for_second(Identity(user=radiologist), [image])
    assert announced.count() == 2
    Image.objects.update(owner=None, guest=uuid4())
    put(user_client, image, "NORMAL")
    assert announced.count() == 2, "guests are not notified"


def test_only_radiologists_can_give_verdicts(
    user_client: Client, client: Client, image: Image, problem: Callable[..., Any]
) -> None:
    problem(put(user_client, image, "NORMAL"), 403, "not_a_reviewer")
    assert put(client, image, "NORMAL").status_code in (401, 403)
    assert not Review.objects.exists()


def test_another_users_image_cannot_be_reviewed(
    radiologist: User, user_client: Client, make_image: Callable[..., Image], read: Callable[..., None],
    problem: Callable[..., Any],
) -> None:  # fmt: skip
    other = make_image(Status.READY, owner=User.objects.create_user("eve"))
    read(other)
    problem(put(user_client, other, "NORMAL"), 404, "not_found")


def test_an_image_cannot_be_reviewed_before_the_model_has_read_it(
    radiologist: User, user_client: Client, make_image: Callable[..., Image], problem: Callable[..., Any]
) -> None:
    problem(put(user_client, make_image(Status.QUEUED, owner=radiologist), "NORMAL"), 409, "not_read_yet")


def test_an_unknown_verdict_is_refused(
    radiologist: User, user_client: Client, image: Image, problem: Callable[..., Any]
) -> None:
    problem(put(user_client, image, "PROBABLY"), 400, "invalid_request")


def test_training_can_read_the_export(
    radiologist: User, user_client: Client, staff_client: Client, image: Image, make_image: Callable[..., Image],
    read: Callable[..., None], jpeg: bytes, tmp_path: Path,
) -> None:  # fmt: skip
    patient = Patient.objects.create(identifier="Ada L.", owner=radiologist)
    disputed, unsure = make_image(Status.READY, owner=radiologist, patient=patient), make_image(Status.READY)
    read(disputed, unsure)
    second = User.objects.create_user("bob")
    put(user_client, image, "PNEUMONIA")
    for reviewer, verdict in ((radiologist, "NORMAL"), (second, "PNEUMONIA")):
        Review.objects.create(image=disputed, reviewer=reviewer, verdict=verdict)
    Review.objects.create(image=unsure, reviewer=second, verdict="UNSURE")

    answer = staff_client.get("/api/v1/reviews/export.zip")
    content = b"".join(answer.streaming_content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    rows = {row["file"]: row for row in csv.DictReader((tmp_path / "reviews.csv").open())}
    assert {row["verdict"] for row in rows.values()} == {"PNEUMONIA", "DISAGREED", "UNSURE"}
    assert b"Ada L." not in content, "the export names no patient"
    (sample,) = extra.read(tmp_path / "reviews.csv")
    assert sample.label == 1
    assert sample.path.read_bytes() == jpeg
    assert sample.path.stem == str(image.pk)


def test_the_export_is_streamed_one_image_at_a_time(
    radiologist: User, make_image: Callable[..., Image], read: Callable[..., None]
) -> None:
    opened = []
    megabyte = os.urandom(2**20)
    for _ in range(12):
        image = make_image(Status.READY)
        default_storage.save(image.file.name, ContentFile(megabyte))
        read(image)
        Review.objects.create(image=image, reviewer=radiologist, verdict="NORMAL")
    original_open = type(default_storage._wrapped)._open

    def recording_open(self: Any, name: str, mode: str = "rb") -> Any:
        opened.append(name)
        return original_open(self, name, mode)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(default_storage._wrapped), "_open", recording_open)
        tracemalloc.start()
        parts = export.stream()
        size = len(next(parts))
        assert len(opened) == 1
        size += sum(map(len, parts))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert size > 12 * 2**20
    assert peak < 4 * 2**20


def test_a_damaged_or_missing_original_is_left_out_of_the_export(
    radiologist: User, make_image: Callable[..., Image], read: Callable[..., None], jpeg: bytes, caplog: Any
) -> None:
    good, damaged, missing = (make_image(Status.READY, sha256=sha256(jpeg).hexdigest()) for _ in range(3))
    read(good, damaged, missing)
    for image in (good, damaged, missing):
        Review.objects.create(image=image, reviewer=radiologist, verdict="NORMAL")
    default_storage.save(damaged.file.name, ContentFile(jpeg[:-1] + b"x"))
    default_storage.delete(missing.file.name)
    with zipfile.ZipFile(io.BytesIO(b"".join(export.stream()))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"images/{good.pk}.jpg", "reviews.csv"]
    assert f"the upload of {damaged.pk} is damaged" in caplog.text


def test_only_staff_can_export(user_client: Client, client: Client) -> None:
    assert user_client.get("/api/v1/reviews/export.zip").status_code == 403
    assert client.get("/api/v1/reviews/export.zip").status_code in (401, 403)


def test_the_page_asks_only_radiologists_for_a_verdict(radiologist: User, image: Image, client: Client) -> None:
    page = Client()
    page.force_login(radiologist)
    path = f"/images/{image.pk}/"
    assert b"What do you see?" in page.get(path).content
    answer = page.post(f"{path}review/", {"verdict": "NORMAL"})
    assert (answer.status_code, answer["Location"]) == (302, path)
    assert Review.objects.get().verdict == "NORMAL"
    shown = page.get(path).content.decode()
    assert "Your verdict" in shown
    assert 'value="NORMAL" aria-pressed="true"' in shown
    assert page.post(f"{path}review/", {"verdict": "PROBABLY"}).status_code == 400
    radiologist.groups.clear()
    fresh_session = Client()
    fresh_session.force_login(User.objects.get(pk=radiologist.pk))
    assert b"What do you see?" not in fresh_session.get(path).content
    assert fresh_session.post(f"{path}review/", {"verdict": "NORMAL"}).status_code == 403
