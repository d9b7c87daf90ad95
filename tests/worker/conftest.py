"""Fixtures: a storage, a bundle without weights, and lists of the messages that would go to the broker."""

import json
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from PIL import Image as Picture

from ml.pictures.preprocess import Preprocessing
from tests import receiver as receivers
from tests import synthetic
from webapp.accounts.identity import Identity
from webapp.notifications import services
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image, Reading
from worker.infer import lost
from worker.ingest import preparing
from worker.process import presence

#: Differs from the defaults, so that tests fail if a worker ignores the bundle.
SPEC = Preprocessing(size=224, blur=1.5, percentiles=(2.0, 98.0))


def write_bundle(models: Path, version: str, name: str = "chest", **changes: Any) -> Path:
    """Write a bundle's folder with a description and no weights."""
    folder = models / f"{name}-{version}"
    folder.mkdir(parents=True)
    meta = {
        "format": 1,
        "name": name,
        "version": version,
        "architecture": "vgg16",
        "preprocessing": SPEC.to_json(),
        "threshold": 0.4,
        "weights": {"sha256": "0" * 64},
        **changes,
    }
    (folder / "bundle.json").write_text(json.dumps(meta))
    return folder


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> Path:
    """The media folder."""
    options = {**settings.STORAGES["default"]["OPTIONS"], "location": str(tmp_path / "media")}
    settings.STORAGES = {**settings.STORAGES, "default": {**settings.STORAGES["default"], "OPTIONS": options}}
    return tmp_path / "media"


@pytest.fixture(autouse=True)
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the connection of the test's own transaction open, as Django's test client does."""
    monkeypatch.setattr(presence, "close_old_connections", lambda: None)
    monkeypatch.setattr(lost, "close_old_connections", lambda: None)
    monkeypatch.setattr(presence, "disconnect", lambda: None)


@pytest.fixture
def models(settings: Any, tmp_path: Path) -> Iterator[Path]:
    """An empty folder, in which the workers look for bundles."""
    settings.MODELS_DIR = tmp_path / "models"
    settings.MODEL_BUNDLE = "chest"
    settings.SHADOW_BUNDLES = []
    settings.MODELS_DIR.mkdir()
    preparing.models.cache_clear()
    yield settings.MODELS_DIR
    preparing.models.cache_clear()


@pytest.fixture
def installed(models: Path) -> Path:
    """The folder of the only installed bundle."""
    return write_bundle(models, "1.2.0")


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, UUID]]:
    """The messages that would have gone to the broker: task and image."""
    messages: list[tuple[str, UUID]] = []
    monkeypatch.setattr(dispatch, "send", lambda step, images: messages.extend((step, image.pk) for image in images))
    monkeypatch.setattr(dispatch, "wake_deliver", lambda: None)

    def send_readings(readings: Iterable[Reading]) -> None:
        messages.extend((dispatch.INFER, reading.image_id) for reading in readings)

    monkeypatch.setattr(dispatch, "send_readings", send_readings)
    monkeypatch.setattr(dispatch, "wake_reader", lambda image: messages.append(("wake", image.pk)))
    return messages


@pytest.fixture
def upload(db: None) -> Callable[..., Image]:
    """Make the row and the file of an accepted upload."""

    def make(content: bytes | None = None, **fields: Any) -> Image:
        content = synthetic.xray_jpeg(size=(300, 200)) if content is None else content
        fields = {"guest": uuid4(), "filename": "chest.jpg", "dispatched_at": timezone.now(), **fields}
        image = Image(size=len(content), **fields)
        image.file = default_storage.save(f"uploads/{image.pk}.jpg", ContentFile(content))
        image.save(force_insert=True)
        return image

    return make


@pytest.fixture
def prepared(upload: Callable[..., Image]) -> Callable[..., Image]:
    """Make an image that waits for the model "chest-1.2.0". Its input has a single shade of grey."""

    def make(shade: int, attempts: int = 0, bundle: str = "chest-1.2.0", **fields: Any) -> Image:
        image = upload(b"upload", **{"status": Status.READY, **fields})
        path = Path(default_storage.path(f"inputs/{image.pk}.png"))
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.full((224, 224), shade, np.uint8)).save(path)
        if image.status != Status.QUEUED:
            Reading.objects.create(
                image=image, bundle=bundle, priority=image.priority, state=image.status, attempts=attempts,
                input=f"inputs/{image.pk}.png", dispatched_at=image.dispatched_at,
            )  # fmt: skip
        return image

    return make


# --- webhooks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def loopback_allowed(settings: Any) -> None:
    """Allow webhooks to this machine, over plain HTTP."""
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]


@pytest.fixture
def receiver(loopback_allowed: None) -> Iterator[receivers.Receiver]:
    with receivers.receiving() as running:
        yield running


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def webhook(owner: User, receiver: receivers.Receiver) -> Any:
    """The owner's webhook, which sends to the receiver. It also has its ``secret``."""
    created: Any
    created, created.secret = services.create_webhook(Identity(user=owner), receiver.url)
    return created
