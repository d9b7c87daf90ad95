"""The entry points for a file: the API, the page, and `python -m ml predict`."""

import functools
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Picture

from ml.inference import engines, predict
from tests import synthetic
from tests.inputs.case import Case
from tests.inputs.cases import CASES
from tests.service import bundle
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.files import signatures
from webapp.studies.models import Image
from worker import tasks
from worker.ingest import preparing

#: The synthetic picture that the model is least sure of, so that a change of its pixels changes the answer.
PICTURE = np.asarray(synthetic.xray(35, (330, 276)))


@dataclass(frozen=True)
class Outcome:
    """The outcome of a file.

    Attributes:
        code: code of the error, None if the file was read.
        warnings: codes of the warnings.
        probability: the model's answer, if it read the file.
        input: the model's input, if the service prepared the file.
        preview: the picture that the page shows.
    """

    code: str | None = None
    warnings: tuple[str, ...] = ()
    probability: float | None = None
    input: np.ndarray | None = None
    preview: Picture.Image | None = None


Sender = Callable[[str, bytes], Outcome]


@pytest.fixture
def surroundings(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep files in the test's folder, use no broker, and use the released bundle."""
    options = {**settings.STORAGES["default"]["OPTIONS"], "location": str(tmp_path / "media")}
    settings.STORAGES = {
        "default": {**settings.STORAGES["default"], "OPTIONS": options},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "process": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    }
    settings.MODEL_BUNDLE, settings.SHADOW_BUNDLES = str(bundle()), []
    monkeypatch.setattr(dispatch, "send", lambda *_: None)
    monkeypatch.setattr(dispatch, "send_readings", lambda *_: None)
    preparing.models.cache_clear()
    cache.clear()
    yield
    preparing.models.cache_clear()


@pytest.fixture
def browser(surroundings: None, db: None) -> Client:
    """A client of an administrator, who has no rate limits."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client


@pytest.fixture
def through_api(browser: Client) -> Sender:
    def send(name: str, content: bytes) -> Outcome:
        response = browser.post("/api/v1/images/", {"file": SimpleUploadedFile("chest", content)})
        assert response.status_code < 500
        if response.status_code != 202:
            return Outcome(response.json()["code"])
        return prepared(browser)

    return send


@pytest.fixture
def through_page(browser: Client) -> Sender:
    def send(name: str, content: bytes) -> Outcome:
        file = SimpleUploadedFile("chest", content)
        response = browser.post(reverse("upload"), {"files": file})
        assert response.status_code < 500
        if response.status_code != 302:
            refused = signatures.refusal(file)
            assert refused
            assert response.context["error"] == refused.detail
            return Outcome(refused.code)
        return prepared(browser)

    return send


def prepared(browser: Client) -> Outcome:
    """Let the worker prepare the only upload, and return its outcome."""
    image = Image.objects.get()
    code = tasks.ingest(str(image.pk))
    image.refresh_from_db()
    if code != "ready":
        assert (image.status, image.error_code) == (Status.FAILED, code)
        return Outcome(code)
    reading = image.readings.get()
    with default_storage.open(reading.input.name, "rb") as stream:
        pixels = np.asarray(Picture.open(stream))
    response = browser.get(reverse("api-image-preview", args=[image.pk]))
    preview = Picture.open(io.BytesIO(response.getvalue()))
    return Outcome(None, tuple(warning["code"] for warning in reading.warnings), None, pixels, preview)


@pytest.fixture(scope="session")
def file_of() -> Callable[[Case], bytes]:
    """The file of a case, built once."""
    return functools.cache(lambda case: case.build(PICTURE))


class CachingEngine:
    """An engine that reads equal inputs only once: most containers give exactly the same input."""

    def __init__(self, engine: engines.Engine) -> None:
        self.engine = engine
        self.known: dict[bytes, tuple[np.ndarray, ...]] = {}

    def read(self, batch: np.ndarray) -> engines.Readings:
        new = {one.tobytes(): one for one in batch if one.tobytes() not in self.known}
        if new:
            read = self.engine.read(np.stack(list(new.values())))
            columns = (getattr(read, field.name) for field in fields(read))
            self.known |= dict(zip(new, zip(*columns, strict=True), strict=True))
        rows = [self.known[one.tobytes()] for one in batch]
        return engines.Readings(*map(np.stack, zip(*rows, strict=True)))


@pytest.fixture(scope="session")
def predicted(file_of: Callable[[Case], bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """The results of `python -m ml predict` for all files, in one run."""
    folder = tmp_path_factory.mktemp("inputs")
    paths = [folder / f"{number:04d}" for number in range(len(CASES))]
    for path, case in zip(paths, CASES, strict=True):
        path.write_bytes(file_of(case))
    engine = CachingEngine(engines.load(bundle()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "load", lambda _: engine)
        predict.predict(bundle(), paths, json_file=folder / "answers.json")
    print(f"{len(CASES)} files, {len(engine.known)} inputs")
    rows = json.loads((folder / "answers.json").read_text())
    return {
        case.name: Outcome(
            row["error"]["code"] if "error" in row else None,
            tuple(found["code"] for found in row["warnings"]),
            row["probability"],
        )
        for case, row in zip(CASES, rows, strict=True)
    }


@pytest.fixture
def through_predict(predicted: dict[str, Outcome]) -> Sender:
    return lambda name, _: predicted[name]
