"""From an upload to the model's input, and what happens to uploads for which there is none."""

import hashlib
import io
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import cv2
import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.db import DatabaseError, InterfaceError
from PIL import Image as Picture

from ml.errors import BundleError
from ml.evaluation.photographed import photograph
from ml.pictures import photographs, warnings
from ml.pictures.decode import open_image
from ml.pictures.preprocess import Preprocessing, to_input
from tests import synthetic
from tests.worker.conftest import SPEC, write_bundle
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.services import cancellation, judging, preparation
from worker import tasks
from worker.ingest import preparing

pytestmark = pytest.mark.usefixtures("installed")
Upload = Callable[..., Image]


def stored(name: str) -> Picture.Image:
    with default_storage.open(name, "rb") as stream:
        return Picture.open(io.BytesIO(stream.read()))


def test_opencv_takes_no_threads_besides_the_pools_processes() -> None:
    assert cv2.getNumThreads() == 1


@pytest.mark.parametrize(
    ("content", "size", "preview"),
    [
        (synthetic.xray_jpeg(1, (2100, 1400)), (2100, 1400), (1050, 700)),
        (synthetic.xray_png(2, (600, 1300)), (600, 1300), (600, 1300)),
        (synthetic.xray_png(2, (900, 3001)), (900, 3001), (300, 1001)),
        (synthetic.xray_png(3, (300, 200)), (300, 200), (300, 200)),
    ],
)
def test_preview_input_and_metadata(
    upload: Upload, content: bytes, size: tuple[int, int], preview: tuple[int, int]
) -> None:
    prepared = preparing.prepare(upload(content))
    assert (prepared.width, prepared.height) == size
    assert prepared.sha256 == hashlib.sha256(content).hexdigest()
    shown = stored(prepared.preview)
    assert (shown.format, shown.mode) == ("JPEG", "L")
    assert shown.size == preview
    exact = stored(prepared.inputs["chest-1.2.0"])
    assert (exact.format, exact.mode, exact.size) == ("PNG", "L", (224, 224))
    expected = to_input(open_image(content), SPEC)
    np.testing.assert_array_equal(np.asarray(exact), expected)
    assert expected.std() > 10, "a blank image would prove nothing"


def test_borders_are_cut_off_and_the_region_of_the_rest_is_stored(
    upload: Upload, django_capture_on_commit_callbacks: Any
) -> None:
    chest = synthetic.xray(5, (500, 400))
    framed = Picture.new("L", (700, 460), 255)
    framed.paste(chest, (120, 40))
    image = upload(png(framed))
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.ingest(str(image.pk)) == "ready"
    reading = image.readings.get()
    assert reading.region == [120, 40, 620, 440]
    assert [warning["code"] for warning in reading.warnings] == ["borders_removed"]
    np.testing.assert_array_equal(np.asarray(stored(reading.input.name)), to_input(chest, SPEC))
    image.refresh_from_db()
    assert (image.width, image.height) == (700, 460), "the picture is shown as it was sent"
    assert stored(image.preview.name).size == (700, 460)


def test_a_photograph_of_a_film_has_its_warning(upload: Upload) -> None:
    photo = photograph(synthetic.xray(1, (500, 400)), np.random.default_rng(1))
    prepared = preparing.prepare(upload(photo.content))
    assert (prepared.region, [warning["code"] for warning in prepared.warnings]) == ([], ["photograph_of_film"])


def test_what_the_input_does_not_depend_on_is_made_in_another_thread(
    upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, sheet = _threads_of(monkeypatch, preparing, "to_input"), _threads_of(monkeypatch, photographs, "find_sheet")
    image = upload(synthetic.xray_jpeg(1, (2100, 1400)))
    prepared = preparing.prepare(image)
    assert (len(inputs), len(sheet)) == (1, 1)
    assert inputs != sheet

    def full(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(preparing.ThreadPoolExecutor, "submit", full)
    assert preparing.prepare(image) == prepared
    assert sheet[1:] == inputs[1:] == inputs[:1]


def _threads_of(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[int]:
    """Watch a function. Return a list that gets the threads in which it runs."""
    threads: list[int] = []
    watched = getattr(module, name)

    def run(*args: Any, **kwargs: Any) -> Any:
        threads.append(threading.get_ident())
        return watched(*args, **kwargs)

    monkeypatch.setattr(module, name, run)
    return threads


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_upload_that_browsers_show_is_its_own_preview(upload: Upload, storage: Path, mode: str) -> None:
    content = jpeg(synthetic.xray(3, (1200, 900)).convert(mode))
    image = upload(content)
    prepared = preparing.prepare(image)
    assert (prepared.preview, prepared.preview_sha256) == (image.file.name, "")
    assert not (storage / "previews").exists()


def test_an_upload_that_browsers_would_not_show_gets_a_preview(upload: Upload) -> None:
    noise = Picture.fromarray(np.random.default_rng(0).integers(0, 256, (1100, 1100), dtype=np.uint8))
    for content in (jpeg(synthetic.xray(3, (1700, 900))), jpeg(synthetic.xray(3).convert("CMYK")), jpeg(noise)):
        image = upload(content)
        prepared = preparing.prepare(image)
        assert prepared.preview != image.file.name
        content_on_disk = default_storage.open(prepared.preview).read()
        assert prepared.preview_sha256 == hashlib.sha256(content_on_disk).hexdigest()
        assert stored(prepared.preview).mode == "L"


def jpeg(picture: Picture.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def png(picture: Picture.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def test_a_preview_shows_the_image(upload: Upload) -> None:
    content = synthetic.xray_jpeg(4, (2000, 1500))
    shown = np.asarray(stored(preparing.prepare(upload(content)).preview).resize((64, 64)), dtype=float)
    original = np.asarray(open_image(content).resize((64, 64)), dtype=float)
    assert np.abs(shown - original).mean() < 4


def test_preparing_twice_writes_the_same_files(upload: Upload, storage: Path) -> None:
    image = upload()
    first = preparing.prepare(image)
    files = sorted(storage.rglob("*.*"))
    assert preparing.prepare(image) == first
    assert sorted(storage.rglob("*.*")) == files


def test_ingest_makes_an_image_ready_and_sends_it_on(
    upload: Upload, sent: list[tuple[str, UUID]], django_capture_on_commit_callbacks: Any
) -> None:
    image = upload()
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.ingest(str(image.pk)) == "ready"
    image.refresh_from_db()
    assert (image.status, image.attempts) == (Status.READY, 0)
    assert (image.width, image.height) == (300, 200)
    reading = image.readings.get()
    assert (reading.bundle, reading.shadow, reading.state) == ("chest-1.2.0", False, "ready")
    assert reading.ready_at is not None
    assert stored(reading.input.name).size == (224, 224)
    assert stored(image.preview.name).size == (300, 200)
    assert sent == [(dispatch.INFER, image.pk)]


def test_a_message_that_comes_twice_does_its_work_once(
    upload: Upload, sent: list[tuple[str, UUID]], django_capture_on_commit_callbacks: Any
) -> None:
    image = upload()
    with django_capture_on_commit_callbacks(execute=True):
        assert [tasks.ingest(str(image.pk)) for _ in range(2)] == ["ready", "nothing to do"]
    assert len(sent) == 1


def test_of_two_workers_with_the_same_image_one_sends_it_on(
    upload: Upload, sent: list[tuple[str, UUID]], django_capture_on_commit_callbacks: Any
) -> None:
    image = upload()
    with django_capture_on_commit_callbacks(execute=True):
        both = [preparation.start_ingest(image.pk), preparation.start_ingest(image.pk)]
        assert [preparation.finish_ingest(one, preparing.prepare(one)) for one in both] == [True, False]
    assert len(sent) == 1


def test_an_image_that_is_cancelled_meanwhile_stays_cancelled(upload: Upload, monkeypatch: Any) -> None:
    image = upload()
    prepare = preparing.prepare

    def slowly(started: Image) -> preparation.Prepared:
        cancellation.cancel_image(started)
        return prepare(started)

    monkeypatch.setattr(preparing, "prepare", slowly)
    assert tasks.ingest(str(image.pk)) == "overtaken"
    image.refresh_from_db()
    assert image.status == Status.CANCELLED


def test_a_message_for_a_deleted_image_is_dropped(db: None) -> None:
    assert tasks.ingest(str(uuid4())) == "nothing to do"


def damaged_png() -> bytes:
    """A complete PNG with correct checksums, whose rows have a filter that PNG does not know."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 100, 100, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\x09" + bytes(100)) * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (synthetic.empty, "file_empty"),
        (synthetic.text, "not_an_image"),
        (synthetic.svg, "not_an_image"),
        (synthetic.tiny_png, "image_too_small"),
        (synthetic.bomb_png, "image_too_large"),
        (synthetic.truncated_jpeg, "image_truncated"),
        (damaged_png, "image_corrupt"),
    ],
)
def test_bad_input_fails_with_its_code_and_a_sentence(upload: Upload, make: Callable[[], bytes], code: str) -> None:
    image = upload(make())
    assert tasks.ingest(str(image.pk)) == code
    image.refresh_from_db()
    assert (image.status, image.error_code) == (Status.FAILED, code)
    assert image.error_detail[0].isupper()
    assert image.error_detail.endswith(".")
    assert image.finished_at is not None
    assert image.reading is None


def test_an_image_is_prepared_for_its_shadows_as_each_bundle_says(
    upload: Upload, models: Path, settings: Any, sent: list[tuple[str, UUID]], django_capture_on_commit_callbacks: Any
) -> None:
    other = Preprocessing(size=64, blur=0.0)
    write_bundle(models, "2.0.0", name="small", preprocessing=other.to_json())
    settings.SHADOW_BUNDLES = ["small"]
    image = upload(synthetic.xray_jpeg(1, (300, 200)))
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.ingest(str(image.pk)) == "ready"
    primary, shadow = image.readings.order_by("shadow")
    assert (primary.bundle, shadow.bundle) == ("chest-1.2.0", "small-2.0.0")
    assert primary.input.name != shadow.input.name
    content = synthetic.xray_jpeg(1, (300, 200))
    for reading, spec in ((primary, SPEC), (shadow, other)):
        np.testing.assert_array_equal(np.asarray(stored(reading.input.name)), to_input(open_image(content), spec))
    assert len(sent) == 2


def test_an_upload_that_is_missing_in_the_storage_fails(upload: Upload) -> None:
    image = upload()
    default_storage.delete(image.file.name)
    assert tasks.ingest(str(image.pk)) == "file_missing"
    image.refresh_from_db()
    assert (image.status, image.error_code) == (Status.FAILED, "file_missing")


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        PermissionError(13, "Permission denied"),
        DatabaseError("database is locked"),
        InterfaceError("connection already closed"),
        BundleError("no model bundle"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_is_not_the_images_fault_costs_it_no_attempt(
    upload: Upload, monkeypatch: Any, error: Exception
) -> None:
    image = upload()

    def fail(_: Image) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "prepare", fail)
        for _ in range(5):
            with pytest.raises(type(error)):
                tasks.ingest(str(image.pk))
    image.refresh_from_db()
    assert (image.status, image.attempts) == (Status.QUEUED, 0)
    assert tasks.ingest(str(image.pk)) == "ready"


def test_a_full_storage_is_not_the_images_fault(upload: Upload, monkeypatch: Any) -> None:
    image = upload()

    def full(*_: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(default_storage._wrapped), "save", full)
    with pytest.raises(OSError, match="No space left"):
        tasks.ingest(str(image.pk))
    image.refresh_from_db()
    assert (image.status, image.attempts) == (Status.QUEUED, 0)


def test_an_error_of_the_program_fails_the_image_and_is_logged(upload: Upload, monkeypatch: Any, caplog: Any) -> None:
    image = upload()
    monkeypatch.setattr(preparing, "to_input", lambda *_: 1 / 0)
    assert tasks.ingest(str(image.pk)) == "internal_error"
    image.refresh_from_db()
    assert (image.status, image.error_code) == (Status.FAILED, "internal_error")
    assert "ZeroDivisionError" in caplog.text


def test_an_image_that_stops_its_worker_again_and_again_fails(upload: Upload, settings: Any) -> None:
    image = upload()
    for _ in range(settings.MAX_ATTEMPTS):
        assert preparation.start_ingest(image.pk)  # and the worker dies
    assert tasks.ingest(str(image.pk)) == "nothing to do"
    image.refresh_from_db()
    assert (image.status, image.error_code) == (Status.FAILED, "worker_crashed")


@pytest.mark.parametrize("age", [None, 0.0, 0.5, 0.99, 1.0, 3.0, 5.99, 6.0, 64.0])
@pytest.mark.parametrize("view", ["", "PA", "AP", "lateral"])
def test_ages_and_views_get_the_same_warnings_in_the_service_and_for_single_files(age: float | None, view: str) -> None:
    assert judging.outside_training(age, view) == warnings.outside_training(age, view)
