"""The web application alone: no broker, no worker, and nothing outside of the test's own folder."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import Celery
from django.conf import settings as configured
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.test import Client as DjangoClient
from django.test import TestCase
from django.utils import timezone

from tests import synthetic
from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.departments.models import Department
from webapp.studies import dispatch
from webapp.studies.choices import OUTSIDE_TRAINING, ReadingState, Status
from webapp.studies.models import Image, Reading, Study
from webapp.studies.services import archives, reading

# SQLite in memory, which is what tests get otherwise, locks whole tables between threads; a file does not, and is what
# the service runs on. It has to be decided before the first test asks for the database.
_folder = Path(tempfile.mkdtemp(prefix="pneumoqueue-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
if connections["default"].vendor == "sqlite":
    connections["default"].settings_dict["TEST"]["NAME"] = str(_folder / "db.sqlite3")

IMAGES = "/api/v1/images/"
STUDIES = "/api/v1/studies/"
PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def own_surroundings(settings: Any, tmp_path: Path) -> Iterator[None]:
    """Files in the test's folder, requests counted in memory, static files without having been collected."""
    settings.DATA_DIR = tmp_path
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.MEDIA_ROOT.mkdir()
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()
    options = {**settings.STORAGES["default"]["OPTIONS"], "location": str(settings.MEDIA_ROOT)}
    settings.STORAGES = {
        "default": {**settings.STORAGES["default"], "OPTIONS": options},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "process": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    cache.clear()
    yield
    cache.clear()


# --- the broker -----------------------------------------------------------------------------------------------------


@dataclass
class Sent:
    """The messages that would have gone to the broker.

    Attributes:
        images: for each message about an image its task, the image's id, and whether it is to be read alone.
        queues: for each message about a reading its queue.
        archives: the ids of archives to unpack.
        wakes: how often a worker was woken for the outbox.
        waiting: messages by queue that the broker claims to hold.
    """

    images: list[tuple[str, UUID, bool]] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    archives: list[UUID] = field(default_factory=list)
    wakes: int = 0
    waiting: dict[str, int] = field(default_factory=dict)

    def ids(self, step: str) -> list[UUID]:
        return [pk for sent, pk, _ in self.images if sent == step]

    def clear(self) -> None:
        self.images.clear()
        self.queues.clear()
        self.archives.clear()
        self.wakes = 0


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    record = Sent()

    def send(step: str, images: Iterable[Image]) -> bool:
        record.images.extend((step, image.pk, False) for image in images)
        return True

    def send_readings(readings: Iterable[Reading]) -> None:
        for one in readings:
            record.images.append((dispatch.INFER, one.image_id, bool(one.attempts)))
            record.queues.append(one.queue)

    monkeypatch.setattr(dispatch, "send", send)
    monkeypatch.setattr(dispatch, "send_readings", send_readings)
    monkeypatch.setattr(dispatch, "send_unpack", lambda pk, owned: record.archives.append(pk))

    def wake() -> None:
        record.wakes += 1

    monkeypatch.setattr(dispatch, "wake_deliver", wake)
    monkeypatch.setattr(dispatch, "messages_waiting", lambda queue: record.waiting.get(queue, 0))
    return record


_names = ("send", "send_readings", "send_unpack", "wake_deliver", "messages_waiting")
_real = {name: getattr(dispatch, name) for name in _names}


@pytest.fixture
def use_broker(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Celery]:
    """Send for real, through the broker at a URL."""

    def use(url: str) -> Celery:
        app = Celery("test", broker=url, set_as_current=False)
        app.conf.broker_connection_timeout = configured.CELERY_BROKER_CONNECTION_TIMEOUT
        app.conf.broker_transport_options = configured.CELERY_BROKER_TRANSPORT_OPTIONS
        for name, function in _real.items():
            monkeypatch.setattr(dispatch, name, function)
        monkeypatch.setattr(dispatch, "app", app)
        return app

    return use


@pytest.fixture
def no_broker(use_broker: Callable[[str], Celery]) -> Celery:
    """A broker that refuses connections."""
    return use_broker("redis://127.0.0.1:1/0")


# --- clients --------------------------------------------------------------------------------------------------------


class Client(DjangoClient):
    """A client whose requests end with what happens on commit, although the test's own transaction goes on."""

    def request(self, **request: Any) -> Any:
        with TestCase.captureOnCommitCallbacks(execute=True):
            return super().request(**request)

    def upload(self, content: bytes | None = None, filename: str = "chest.jpg", **more: Any) -> Any:
        """Post one image; ``headers`` are the request's, everything else is a field."""
        headers = more.pop("headers", None)
        content = JPEG if content is None else content
        return self.post(IMAGES, {"file": SimpleUploadedFile(filename, content), **more}, headers=headers)

    def upload_study(self, files: dict[str, bytes], **more: Any) -> Any:
        headers = more.pop("headers", None)
        sent = [SimpleUploadedFile(name, content) for name, content in files.items()]
        return self.post(STUDIES, {"files": sent, **more}, headers=headers)


JPEG = synthetic.xray_jpeg(size=(160, 120))
PNG = synthetic.xray_png(size=(160, 120))


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


def _headers(user: User) -> dict[str, str]:
    key = tokens.issue(user)
    user.api_tokens.update(last_used_on=timezone.now().date())  # the first use of a day is written
    return {"Authorization": f"Token {key}"}


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def user_client(user: User) -> Client:
    """A program with a user's token."""
    return Client(headers=_headers(user))


@pytest.fixture
def staff_client(db: None) -> Client:
    """A program of an administrator."""
    boss = User.objects.create_user("boss", password=PASSWORD)
    boss.user_permissions.add(Permission.objects.get(content_type__app_label="departments", codename="administer"))
    return Client(headers=_headers(boss))


# --- the domain -----------------------------------------------------------------------------------------------------

#: The model that counts, and the worker that reads with it.
BUNDLE, WORKER = "net-1.0.0", UUID(int=1)
MODEL = reading.Model(BUNDLE, 0.5, "balanced", {"balanced": 0.5, "screening": 0.2})
#: What make_image() hands on to the image's reading.
READING = ("claim", "worker", "claimed_at", "input", "ready_at", "bundle")


def make_reading(image: Image, **fields: Any) -> Reading:
    """A reading in any state, ready without one."""
    given = {"bundle": BUNDLE, "state": ReadingState.READY, "priority": image.priority, **fields}
    return Reading.objects.create(image=image, **{"dispatched_at": timezone.now(), **given})


def result(image_id: UUID, pneumonia: float = 0.9, **more: Any) -> reading.Result:
    """What the model that counts finds in an image."""
    named = {"NORMAL": 1 - pneumonia, "PNEUMONIA": pneumonia}
    label = "PNEUMONIA" if pneumonia >= MODEL.threshold else "NORMAL"
    return reading.Result(image_id, named, pneumonia, label, **more)


def claim(*images: Image, bundle: str = BUNDLE, worker: UUID = WORKER) -> tuple[UUID, list[Reading]]:
    """Claim images for a batch: its token, and what it holds."""
    token = uuid4()
    return token, reading.claim(token, worker, bundle, [getattr(image, "pk", image) for image in images])


def radiologists() -> Group:
    """The group that a migration makes, and that tests with transactions of their own empty the tables of."""
    group, _ = Group.objects.get_or_create(name="Radiologists")
    group.permissions.add(Permission.objects.get(content_type__app_label="reviews", codename="add_review"))
    return group


@pytest.fixture
def commit() -> Callable[[], AbstractContextManager[Any]]:
    """A context at whose end happens what waits for the commit."""
    return partial(TestCase.captureOnCommitCallbacks, execute=True)


@pytest.fixture
def unpack_all(sent: Sent, commit: Callable[[], AbstractContextManager[Any]]) -> Callable[[UUID], int]:
    """Do a worker's work for a ZIP, message after message; how many images that made."""

    def work(archive_id: UUID) -> int:
        made, handled = 0, len(sent.archives) - 1
        while handled < len(sent.archives):
            with commit():
                made += archives.unpack(archive_id)
            handled += 1
        return made

    return work


@pytest.fixture
def guest() -> Identity:
    return Identity(guest=uuid4())


def owned(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row, owned by a new guest unless they name an owner."""
    named = any(fields.get(name) for name in ("owner", "owner_id", "guest", "department", "department_id"))
    return fields if named else {**fields, "guest": uuid4()}


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
        told = [warning for warning in more.get("warnings", ()) if warning["code"] in OUTSIDE_TRAINING]
        Reading.objects.filter(image__in=images).update(warnings=told)
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
    """Assert that an answer is a problem document (RFC 9457), and return it."""

    def check(answer: Any, status: int, code: str) -> dict[str, Any]:
        assert answer.status_code == status, answer.content
        assert answer["Content-Type"] == "application/problem+json"
        document: dict[str, Any] = answer.json()
        assert document["code"] == code
        assert document["status"] == status
        assert document["type"].startswith("urn:")
        assert document["type"].endswith(code)
        assert document["title"]
        assert len(document["detail"]) > 10
        return document

    return check


@pytest.fixture
def zipped() -> bytes:
    """A ZIP of three images."""
    return synthetic.zip_of({f"{n}.jpg": JPEG for n in range(3)})
