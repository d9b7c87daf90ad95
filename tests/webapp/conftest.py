"""The web application alone: no broker, no worker, and nothing outside of the test's own folder."""

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
def own_surroundings(tmp_path: Path) -> Iterator[None]:
    """Files in the test's folder, requests counted in memory, static files without having been collected."""
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
    """Send for real, through the broker at a URL."""
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
    """A request leaves its language behind, as in Django itself, where the next one chooses its own."""
    yield
    translation.deactivate()


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def user_client(user: User) -> Client:
    """A program with a user's token."""
    return Client(headers=token_headers(user))


@pytest.fixture
def staff_client(db: None) -> Client:
    """A program of an administrator."""
    boss = User.objects.create_user("boss", password=PASSWORD)
    boss.user_permissions.add(administer())
    return Client(headers=token_headers(boss))


# --- the domain -----------------------------------------------------------------------------------------------------


@pytest.fixture
def commit() -> Callable[[], AbstractContextManager[Any]]:
    """A context at whose end happens what waits for the commit."""
    return partial(TestCase.captureOnCommitCallbacks, execute=True)


@pytest.fixture
def unpack_all(sent: Sent, commit: Callable[[], AbstractContextManager[Any]]) -> Callable[[], int]:
    """Do a worker's work for ZIPs, message after message; how many images that made."""

    def work() -> int:
        made, handled = 0, len(sent.archives) - 1
        while handled < len(sent.archives):
            with commit():
                made += archives.unpack()
            handled += 1
        return made

    return work


@pytest.fixture
def guest() -> Identity:
    return Identity(guest=uuid4())


@pytest.fixture
def make_department(db: None) -> Callable[..., Department]:
    """Make a department with members: ``make_department("icu", reader=ada, uploader=bob)``."""

    def make(slug: str = "radiology", **members: User) -> Department:
        department = Department.objects.create(name=slug.title(), slug=slug)
        for role, user in members.items():
            department.memberships.create(user=user, role=role)
        return department

    return make


@pytest.fixture
def make_image(db: None) -> Callable[..., Image]:
    """Make an image in any state, as the service would have left it."""

    def make(status: str = Status.QUEUED, **fields: Any) -> Image:
        now = timezone.now()
        given = {"filename": "chest.jpg", "size": len(JPEG), "dispatched_at": now, **owned(fields)}
        own = {name: given.pop(name) for name in READING if name in given}
        if status in (Status.READY, Status.RUNNING):
            own |= {name: given.pop(name) for name in ("attempts", "dispatches") if name in given}
            own["dispatched_at"] = given["dispatched_at"]
        image = Image(status=status, **given)
        image.file = default_storage.save(f"uploads/{image.pk}.jpg", ContentFile(JPEG))
        image.save(force_insert=True)
        if status == Status.RUNNING:
            own = {"claim": uuid4(), "worker": WORKER, "claimed_at": now, "attempts": 1, **own}
        if status in (Status.READY, Status.RUNNING):
            make_reading(image, state=status, **own)
        return image

    return make


@pytest.fixture
def make_study(make_image: Callable[..., Image]) -> Callable[..., Study]:
    """Make a study with images of these statuses."""

    def make(*statuses: str, **fields: Any) -> Study:
        study = Study.objects.create(**owned(fields))
        for index, status in enumerate(statuses):
            make_image(status, study=study, filename=f"{index}.jpg", priority="bulk", **study.ownership)
        return study

    return make


@pytest.fixture
def read() -> Callable[..., None]:
    """Do the workers' work: prepare images where that is not done, claim them and write a result."""

    def work(*images: Image, pneumonia: float = 0.9, **more: Any) -> None:
        for image in images:
            if not image.readings.exists():
                Image.objects.filter(pk=image.pk).update(status=Status.READY)
                make_reading(image)
        # What is said of age and view is known when they are prepared.
        known = [warning for warning in more.get("warnings", ()) if warning["code"] in OUTSIDE_TRAINING]
        Reading.objects.filter(image__in=images).update(warnings=known)
        token, held = claim(*images)
        assert len(held) == len(images)
        results = [result(image.pk, pneumonia, **more) for image in images]
        assert reading.succeed(token, results, MODEL, seconds=0.25) == len(images)

    return work


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The SQL that any thread has executed since."""
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
