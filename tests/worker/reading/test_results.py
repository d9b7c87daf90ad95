"""Batches: results with their warnings and maps, and which readings a batch takes."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.core.files.storage import default_storage
from numpy.typing import NDArray
from PIL import Image as Picture

from ml.inference import evidence
from ml.inference.heatmaps import STRONG, overlay
from ml.pictures.warnings import BORDERS_REMOVED, PHOTOGRAPH_OF_FILM
from tests import synthetic
from tests.worker.conftest import write_bundle
from tests.worker.reading.conftest import SUCCEEDED, Engine, Prepared, messages, refreshed, states
from webapp.accounts.identity import Identity
from webapp.departments import calibrations
from webapp.departments.models import Department
from webapp.studies.choices import Status
from webapp.studies.files import heatmaps
from webapp.studies.models import Image, Reading
from webapp.studies.services import cancellation
from worker import bundle, tasks
from worker.infer import capacity, reader
from worker.infer.inputs import Inputs
from worker.ingest import preparing
from worker.process import presence


def test_results_are_written(prepared: Prepared, engine: Engine) -> None:
    images = [prepared(shade) for shade in (51, 102, 204)]
    assert reader.read_batch([image.pk for image in images]) == 3
    assert states(*images) == [SUCCEEDED] * 3
    assert sorted(engine.batches[0]) == [51, 102, 204], "each batch goes through the model at once"
    assert len(engine.batches) == 1
    for image, pneumonia, label in zip(images, (0.2, 0.4, 0.8), ("NORMAL", "PNEUMONIA", "PNEUMONIA"), strict=True):
        result = image.result
        assert result is not None
        assert result.probability == pytest.approx(pneumonia, abs=1e-6)
        assert result.probabilities == pytest.approx({"NORMAL": 1 - pneumonia, "PNEUMONIA": pneumonia}, abs=1e-6)
        assert (result.label, result.bundle, result.threshold, result.batch_size) == (label, "chest-1.2.0", 0.4, 3)
        assert result.operating_point == "default", "the bundle names none"
        assert result.seconds > 0
        assert result.worker == presence.WORKER
        assert image.finished_at is not None
    assert [image.result.group for image in images if image.result] == ["negative", "positive", "positive"]


class Check:
    """Warns that a dark image is no chest X-ray, and returns an image's brightness as its distance."""

    threshold = 100

    def distances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return features[:, 0]

    def warnings(self, features: NDArray[np.float32], inputs: NDArray[np.uint8]) -> list[list[dict[str, str]]]:
        assert len(features) == len(inputs)
        doubt = {"code": "not_chest_xray", "detail": "Too dark."}
        return [[doubt] if shade < 100 else [] for shade in features[:, 0]]


def test_warnings_and_maps_go_with_their_image(
    prepared: Prepared, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_reader", reader.Reader(bundle.current(), engine, Check(), Inputs(224, "chest-1.2.0")))
    images = [prepared(shade) for shade in (3, 204, 51)]
    assert reader.read_batch([image.pk for image in images]) == 3
    dark, bright, dim = (image.result for image in refreshed(*images))
    assert [result.group for result in (dark, bright, dim)] == ["unusable", "positive", "unusable"]
    assert dark.warnings == [{"code": "not_chest_xray", "detail": "Too dark."}]
    assert bright.warnings == []
    assert [result.distance for result in (dark, bright, dim)] == pytest.approx([0.03, 2.04, 0.51])
    # The engine's maps are as strong as the image is bright, and weak maps are drawn faintly.
    peaks = [set(bytes(result.heatmap)) for result in (dark, bright, dim)]
    assert peaks == [{round(255 * 3 / STRONG)}, {255}, {255}]
    assert all(len(bytes(result.heatmap)) == 7 * 7 for result in (dark, bright, dim))


@pytest.mark.parametrize(
    "size", [(300, 200), (1300, 1100), (1537, 2048), pytest.param((3001, 2000), marks=pytest.mark.long)]
)
def test_a_map_is_as_large_as_the_preview(upload: Callable[..., Image], size: tuple[int, int]) -> None:
    image = preparing.prepare(upload(synthetic.xray_jpeg(1, size)))
    drawn = io.BytesIO(heatmaps.png(bytes(16), image.width, image.height))
    with Picture.open(default_storage.path(image.preview)) as preview, Picture.open(drawn) as picture:
        assert picture.size == preview.size


def test_the_web_draws_a_map_as_the_command_line_does() -> None:
    values = np.random.default_rng(0).integers(0, 256, (14, 14), dtype=np.uint8)
    for region in ([], [40, 10, 260, 180]):
        with Picture.open(io.BytesIO(heatmaps.png(values.tobytes(), 300, 200, region))) as drawn:
            assert drawn.mode == "RGBA"
            box = tuple(region) or (0, 0, 300, 200)
            pixels, expected = np.asarray(drawn), np.asarray(overlay(values, (300, 200), box))
        # Except for the line around the strongest part.
        map_itself = (pixels[..., :3] == heatmaps.COLOUR).all(axis=-1)
        assert 0.7 < map_itself.mean() < 1
        np.testing.assert_array_equal(pixels[map_itself], expected[map_itself])


def test_preparation_warnings_are_kept(prepared: Prepared, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_reader", reader.Reader(bundle.current(), engine, Check(), Inputs(224, "chest-1.2.0")))
    cropped, photo, both = (prepared(shade) for shade in (204, 205, 3))
    for image, warning in ((cropped, BORDERS_REMOVED), (photo, PHOTOGRAPH_OF_FILM), (both, PHOTOGRAPH_OF_FILM)):
        image.readings.update(warnings=[warning])
    assert reader.read_batch([image.pk for image in (cropped, photo, both)]) == 3
    results = [image.result for image in refreshed(cropped, photo, both)]
    assert [(result.group, [warning["code"] for warning in result.warnings]) for result in results] == [
        ("positive", ["borders_removed"]),
        ("unusable", ["photograph_of_film"]),
        ("unusable", ["photograph_of_film"]),
    ]


def test_only_images_that_are_ready_are_read(prepared: Prepared, engine: Engine) -> None:
    ready = prepared(100)
    others = [prepared(101, status=status) for status in Status if status != Status.READY]
    before = [image.status for image in others]
    assert reader.read_batch([ready.pk, *(image.pk for image in others), uuid4()]) == 1
    assert engine.batches == [[100]]
    assert [image.status for image in refreshed(*others)] == before
    assert Reading.objects.get(probability__isnull=False).image_id == ready.pk


def test_a_batch_that_comes_twice_is_read_once(prepared: Prepared, engine: Engine) -> None:
    ids = [prepared(shade).pk for shade in (100, 101)]
    assert [reader.read_batch(ids), reader.read_batch(ids)] == [2, 0]
    assert len(engine.batches) == 1


def test_the_task_reads_each_image_of_its_messages_once(prepared: Prepared, engine: Engine) -> None:
    one, two = prepared(100), prepared(101)
    assert tasks.infer.run(messages(one, two, one), uuid4()) == 2
    assert sorted(engine.batches[0]) == [100, 101]


def test_bulk_images_get_the_remaining_places_in_the_order_of_their_turns(
    prepared: Prepared, engine: Engine, sent: list[tuple[str, UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "short_batch", lambda: 2)
    first, second, third, interactive = (prepared(shade, priority="bulk") for shade in (100, 101, 102, 103))
    Image.objects.filter(pk=interactive.pk).update(priority="interactive")
    interactive.readings.update(priority="interactive")
    for turn, image in enumerate((first, second, third)):
        image.readings.update(turn=turn)
    bulk = messages(third, queue="infer.bulk")
    sent.clear()
    assert tasks.infer.run([*messages(interactive), *bulk], uuid4()) == 2
    assert states(interactive, first) == [SUCCEEDED] * 2
    assert [kind for kind, _ in sent] == ["wake"], "more may wait"
    assert tasks.infer.run(messages(third, queue="infer.bulk", alone=True), uuid4()) == 1
    assert states(second, third) == [(Status.READY, ""), SUCCEEDED]
    sent.clear()
    assert tasks.infer.run(bulk, uuid4()) == 1
    assert sent == []


@pytest.mark.parametrize(("chosen", "used", "label"), [
    ("screening", "screening", "PNEUMONIA"), ("", "balanced", "NORMAL"), ("unknown", "balanced", "NORMAL"),
])  # fmt: skip
def test_a_departments_results_use_its_operating_point(
    prepared: Prepared,
    engine: Engine,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str,
    used: str,
    label: str,
) -> None:
    points = {name: {"threshold": value, "rule": "planted"} for name, value in (("balanced", 0.6), ("screening", 0.2))}
    write_bundle(models, "1.3.0", threshold=0.6, operating_point="balanced", operating_points=points)
    monkeypatch.setattr(reader, "_reader", reader.Reader(bundle.current(), engine, None, Inputs(224, "chest-1.3.0")))
    department, other = (
        Department.objects.create(name=slug, slug=slug, operating_point=point)
        for slug, point in (("a", chosen), ("b", ""))
    )
    mine, theirs, guests = (
        prepared(102, bundle="chest-1.3.0", **owner)
        for owner in ({"department": department, "guest": None}, {"department": other, "guest": None}, {})
    )
    assert reader.read_batch([mine.pk, theirs.pk, guests.pk]) == 3
    results = [image.result for image in refreshed(mine, theirs, guests)]
    assert [(result.label, result.operating_point, result.threshold) for result in results if result] == [
        (label, used, {"screening": 0.2, "balanced": 0.6}[used]),
        ("NORMAL", "balanced", 0.6),
        ("NORMAL", "balanced", 0.6),
    ]
    assert {result.group for result in results if result} == {"unclear"}, (
        "the group does not depend on the operating point"
    )


def test_a_departments_results_use_its_own_calibration(prepared: Prepared, engine: Engine) -> None:
    ward, other = (Department.objects.create(name=slug, slug=slug, operating_point="default") for slug in "ab")
    chosen = {"slope": 1.0, "intercept": -2.0, "unclear_from": 0.1, "positive_from": 0.3, "answers": {"normal": {}}}
    calibration = calibrations.apply(Identity(), ward, "chest-1.2.0", **chosen)
    calibrations.apply(Identity(), other, "chest-0.9.0", **chosen)  # for another model
    images = [prepared(204, department=department, guest=None) for department in (ward, other)]
    reader.read_batch([image.pk for image in images])
    mine, theirs = (image.result for image in refreshed(*images))
    assert (mine.operating_point, mine.threshold, mine.label, mine.group) == ("local", 0.3, "PNEUMONIA", "positive")
    # The odds of 4 to 1 that the engine gives become 4 to e².
    assert mine.probability == mine.probabilities["PNEUMONIA"] == pytest.approx(4 / (4 + math.exp(2)), abs=1e-3)
    assert (mine.unclear_from, mine.positive_from) == (0.1, 0.3)
    assert mine.calibration == calibration.stated
    assert (theirs.operating_point, theirs.probability, theirs.calibration) == ("default", pytest.approx(0.8), None)
    calibrations.undo(Identity(), ward, calibration.pk)
    later = prepared(204, department=ward, guest=None)
    reader.read_batch([later.pk])
    before, after = (image.result for image in refreshed(images[0], later))
    assert (before.calibration, after.calibration) == (calibration.stated, None), "an earlier result does not change"


def test_the_warning_about_a_map_outside_the_lungs_follows_the_departments_bounds(
    prepared: Prepared, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.2 is negative by the model's own bounds, and 0.8 is negative by the bounds of one department."""
    monkeypatch.setattr(evidence, "is_outside", lambda maps, _: np.ones(len(maps), bool))
    low, high = (Department.objects.create(name=slug, slug=slug, operating_point="default") for slug in "ab")
    for department, unclear in ((low, 0.1), (high, 0.9)):
        chosen = {"slope": 1.0, "intercept": 0.0, "unclear_from": unclear, "positive_from": 0.95, "answers": {}}
        calibrations.apply(Identity(), department, "chest-1.2.0", **chosen)
    shades = ((51, low), (51, None), (204, high), (204, None))
    images = [prepared(shade, department=ward, **({"guest": None} if ward else {})) for shade, ward in shades]
    reader.read_batch([image.pk for image in images])
    codes = [[warning["code"] for warning in image.result.warnings] for image in refreshed(*images) if image.result]
    assert codes == [["evidence_outside_lungs"], [], [], ["evidence_outside_lungs"]]


def test_only_results_that_were_written_are_counted_and_logged(
    prepared: Prepared, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, cancelled = prepared(100), prepared(101)
    recorded: list[Any] = []
    monkeypatch.setattr(reader, "_record", lambda written, *_: recorded.extend(result.image_id for result in written))
    engine.during_read = lambda: cancellation.cancel_image(cancelled)
    assert reader.read_batch([kept.pk, cancelled.pk]) == 1
    assert recorded == [kept.pk]


def test_a_worker_reads_only_for_its_own_model(prepared: Prepared, engine: Engine) -> None:
    own, other = prepared(100), prepared(101, bundle="chest-2.0.0")
    assert reader.read_batch([own.pk, other.pk]) == 1
    assert states(own, other) == [SUCCEEDED, (Status.READY, "")]


def test_images_that_a_slow_machine_cannot_read_in_one_batch_are_sent_again(
    prepared: Prepared, engine: Engine, monkeypatch: pytest.MonkeyPatch, sent: list[Any]
) -> None:
    slow = reader.Reader(bundle.current(), engine, None, Inputs(224, "chest-1.2.0"), max_batch=2)
    monkeypatch.setattr(reader, "_reader", slow)
    images = [prepared(shade) for shade in (100, 101, 102)]
    assert reader.read_batch([image.pk for image in images]) == 2
    assert states(*images) == [SUCCEEDED, SUCCEEDED, (Status.READY, "")]
    assert [pk for _, pk in sent] == [images[2].pk]


def test_the_model_is_loaded_once_and_warmed_for_the_largest_batch(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    from ml.inference import engines

    loaded: list[Any] = []

    def load(path: Any, name: str, precision: str) -> Engine:
        assert (name, precision) == ("mnn", "bfloat16")
        loaded.append((path, Engine()))
        return loaded[-1][1]

    settings.ENGINE, settings.KERAS_PRECISION = "mnn", "bfloat16"
    monkeypatch.setattr(reader, "_reader", None)
    monkeypatch.setattr(engines, "load", load)
    for shade in (100, 101):
        assert reader.read_batch([prepared(shade).pk]) == 1
    [(path, fake)] = loaded
    assert path == bundle.current().path
    assert fake.warmed_for == settings.MAX_BATCH
    assert fake.batches == [[0], *[[0, 0]] * capacity.ROUNDS, [100], [101]], "the first batches were only measured"
