"""Fixtures for the web application alone: no broker, no worker, and no files outside the test's own folder."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.backends.utils import CursorWrapper
from django.test import TestCase, override_settings
from django.utils import timezone, translation

from tests import database, synthetic
from tests.webapp.broker import Sent, record_messages, send_for_real
from tests.webapp.clients import JPEG, PASSWORD, PNG, Client, checked_problem, token_headers
from tests.webapp.rows import MODEL, READING, WORKER, administer, claim, make_reading, owned, result
from webapp.accounts.identity import Identity
from webapp.departments.models import Department
from webapp.studies.choices import OUTSIDE_TRAINING, Status
from webapp.studies.models import Image, Reading, Study
from webapp.studies.services import archives, reading

database.on_disk()


@pytest.fixture(autouse=True)
def isolated_environment(tmp_path: Path) -> Iterator[None]:
    """Keep files in the test's folder and the cache in memory, and use static files that were not collected."""
    media, static = tmp_path / "media", tmp_path / "static"
    media.mkdir()
    static.mkdir()
    store = configured.STORAGES["default"]
    with override_settings(
        DATA_DIR=tmp_path,
        RESUMABLE_DIR=tmp_path / "resumable",
        MEDIA_ROOT=media,
        STATIC_ROOT=static,
        STORAGES={
            "default": {**store, "OPTIONS": {**store["OPTIONS"], "location": str(media)}},
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        },
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "process": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        },
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ):
        cache.clear()
        yield
        cache.clear()


# --- the broker -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    return record_messages(monkeypatch)


@pytest.fixture
def use_broker(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Celery]:
    """Function that makes the test send real messages, through the broker at a URL."""
    return partial(send_for_real, monkeypatch)


@pytest.fixture
def no_broker(use_broker: Callable[[str], Celery]) -> Celery:
    """A broker that refuses connections."""
    return use_broker("redis://127.0.0.1:1/0")


# --- clients --------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(db: None) -> Client:
    """A guest's browser."""
    return Client()


@pytest.fixture
def new_client(db: None) -> type[Client]:
    return Client


@pytest.fixture
def jpeg() -> bytes:
    return JPEG


@pytest.fixture
def png() -> bytes:
    return PNG


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """Reset the language after each test: like Django, a request leaves its language active."""
    yield
    translation.deactivate()


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def user_client(user: User) -> Client:
    """A program that uses a user's token."""
    return Client(headers=token_headers(user))


@pytest.fixture
def staff_client(db: None) -> Client:
    """A program that uses an administrator's token."""
    boss = User.objects.create_user("boss", password=PASSWORD)
    boss.user_permissions.add(administer())
    return Client(headers=token_headers(boss))


# --- the domain -----------------------------------------------------------------------------------------------------


@pytest.fixture
def commit() -> Callable[[], AbstractContextManager[Any]]:
    """Context manager that runs the ``on_commit`` callbacks when it ends."""
    return partial(TestCase.captureOnCommitCallbacks, execute=True)


@pytest.fixture
def unpack_all(sent: Sent, commit: Callable[[], AbstractContextManager[Any]]) -> Callable[[], int]:
    """Unpack ZIPs as a worker does, one message after another. Return the number of images that this created."""

    def work() -> int:
        created, handled = 0, len(sent.archives) - 1
        while handled < len(sent.archives):
            with commit():
                created += archives.unpack()
            handled += 1
        return created

    return work


@pytest.fixture
def guest() -> Identity:
    return Identity(guest=uuid4())


@pytest.fixture
def make_department(db: None) -> Callable[..., Department]:
    """Create a department with members: ``make_department("icu", reader=ada, uploader=bob)``."""

    def make(slug: str = "radiology", **members: User) -> Department:
        department = Department.objects.create(name=slug.title(), slug=slug)
        for role, user in members.items():
            department.memberships.create(user=user, role=role)
        return department

    return make


@pytest.fixture
def make_image(db: None) -> Callable[..., Image]:
    """Create an image in any state, as the service would have left it."""

    def make(status: str = Status.QUEUED, **fields: Any) -> Image:
        now = timezone.now()
        values = {"filename": "chest.jpg", "size": len(JPEG), "dispatched_at": now, **owned(fields)}
        reading_fields = {name: values.pop(name) for name in READING if name in values}
        if status in (Status.READY, Status.RUNNING):
            reading_fields |= {name: values.pop(name) for name in ("attempts", "dispatches") if name in values}
            reading_fields["dispatched_at"] = values["dispatched_at"]
        image = Image(status=status, **values)
        image.file = default_storage.save(f"uploads/{image.pk}.jpg", ContentFile(JPEG))
        image.save(force_insert=True)
        if status == Status.RUNNING:
            reading_fields = {"claim": uuid4(), "worker": WORKER, "claimed_at": now, "attempts": 1, **reading_fields}
        if status in (Status.READY, Status.RUNNING):
            make_reading(image, state=status, **reading_fields)
        return image

    return make


@pytest.fixture
def make_study(make_image: Callable[..., Image]) -> Callable[..., Study]:
    """Create a study with images of these statuses."""

    def make(*statuses: str, **fields: Any) -> Study:
        study = Study.objects.create(**owned(fields))
        for index, status in enumerate(statuses):
            make_image(status, study=study, filename=f"{index}.jpg", priority="bulk", **study.ownership)
        return study

    return make


@pytest.fixture
def read() -> Callable[..., None]:
    """Do the workers' work: prepare images that are not yet prepared, claim them and store a result."""

    def work(*images: Image, pneumonia: float = 0.9, **more: Any) -> None:
        for image in images:
            if not image.readings.exists():
                Image.objects.filter(pk=image.pk).update(status=Status.READY)
                make_reading(image)
        # Warnings about age and view are already stored when an image is prepared.
        prepared_warnings = [warning for warning in more.get("warnings", ()) if warning["code"] in OUTSIDE_TRAINING]
        Reading.objects.filter(image__in=images).update(warnings=prepared_warnings)
        token, held = claim(*images)
        assert len(held) == len(images)
        results = [result(image.pk, pneumonia, **more) for image in images]
        assert reading.succeed(token, results, MODEL, seconds=0.25) == len(images)

    return work


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """SQL statements that any thread executes from now on."""
    seen: list[str] = []
    execute = CursorWrapper.execute

    def record(self: CursorWrapper, sql: Any, params: Any = None) -> Any:
        seen.append(str(sql))
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", record)
    return seen


@pytest.fixture
def problem() -> Callable[..., dict[str, Any]]:
    return checked_problem


@pytest.fixture
def zipped() -> bytes:
    """A ZIP of three images."""
    return synthetic.zip_of({f"{n}.jpg": JPEG for n in range(3)})
