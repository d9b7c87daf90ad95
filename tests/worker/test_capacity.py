"""How many images a machine reads in the time that a batch may take."""

from collections import deque
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.inference import engines
from worker import tasks
from worker.infer import capacity


class Engine:
    """Takes a fixed number of seconds of a fake clock for each image."""

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds, self.now = seconds, 0.0
        self.warmed: list[int] = []
        monkeypatch.setattr(capacity, "time", SimpleNamespace(monotonic=lambda: self.now))

    def read(self, batch: NDArray[np.uint8]) -> None:
        assert batch.shape[1:] == (224, 224)
        self.now += self.seconds * len(batch)

    def warm_up(self, max_batch: int) -> None:
        self.warmed.append(max_batch)


@pytest.fixture(autouse=True)
def not_measured(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    for name in ("_measured", "_measured_long", "_measured_short"):
        monkeypatch.setattr(capacity, name, SimpleNamespace(value=0))
    monkeypatch.setattr(capacity, "_last", deque(maxlen=capacity.LAST))
    settings.BATCH_TIME_LIMIT, settings.MAX_BATCH = 120, 16


def measure(engine: Engine) -> int:
    return capacity.measure(cast(engines.Engine, engine), 224)  # it has only what is measured, and no network


def measured(seconds: float, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[int]]:
    engine = Engine(seconds, monkeypatch)
    largest = measure(engine)
    return largest, engine.warmed


@pytest.mark.parametrize(
    ("seconds", "largest", "long", "short"),
    [(0.0, 16, 16, 16), (0.01, 16, 16, 16), (0.03, 16, 16, 11), (0.08, 16, 12, 4), (0.15, 16, 6, 2), (0.4, 16, 2, 2),
     (9.0, 4, 2, 2), (20.0, 2, 2, 2), (40.0, 1, 1, 1)],
)  # fmt: skip
def test_batch_sizes_follow_the_time_that_an_image_takes(
    monkeypatch: pytest.MonkeyPatch, seconds: float, largest: int, long: int, short: int
) -> None:
    # The largest batch takes a third of the time limit, a long one a second, a short one a third of a second.
    assert capacity.largest_batch() == capacity.short_batch() == 16, "before the measurement"
    assert measured(seconds, monkeypatch) == (largest, [1, min(largest, 2), largest])
    assert capacity.largest_batch() == tasks.infer.largest_batch() == largest
    assert capacity.long_batch() == tasks.infer.long_batch() == long
    assert capacity.short_batch() == tasks.infer.short_batch() == short


def test_a_start_slowed_by_other_programs_does_not_make_batches_short(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(0.1, monkeypatch)
    read = engine.read

    def faster_later(batch: NDArray[np.uint8]) -> None:
        read(batch)
        engine.seconds /= 2

    monkeypatch.setattr(engine, "read", faster_later)
    measure(engine)
    assert capacity.short_batch() == 16


def test_batch_sizes_follow_the_times_of_the_last_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    def after(*batches: tuple[int, float]) -> tuple[int, int, int]:
        for images, each in batches:
            capacity.observe(images, images * each)
        return capacity.largest_batch(), capacity.long_batch(), capacity.short_batch()

    measured(0.08, monkeypatch)
    assert after() == (16, 12, 4)
    assert after((4, 0.11), (4, 0.11), (4, 0.11)) == (16, 9, 3), "a study is being prepared at the same time"
    assert after((4, 30.0)) == (16, 9, 3), "a batch that was held up says nothing about the next"
    assert after((1, 0.3), (1, 0.3), (1, 0.3)) == (16, 9, 3), "nor does an image that is read alone"
    assert after(*[(2, 0.5)] * 3) == (16, 2, 2), "at least two"
    assert after(*[(2, 0.02)] * 5) == (16, 16, 16), "the study is prepared"


def test_a_new_measurement_discards_the_times_of_earlier_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(0.08, monkeypatch)
    capacity.observe(4, 4.0)
    assert capacity.short_batch() == 2
    measured(0.08, monkeypatch)
    assert capacity.short_batch() == 4
    capacity.observe(4, 4 * 0.08)
    assert capacity.short_batch() == 4, "the slow batch before the measurement is forgotten"


def test_no_batch_is_too_large_to_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    measured(40.0, monkeypatch)
    capacity.observe(2, 0.1)
    assert (capacity.largest_batch(), capacity.long_batch(), capacity.short_batch()) == (1, 1, 1)


@pytest.mark.parametrize(
    ("batch", "interactive", "places"),
    [(16, 0, 16), (16, 3, 13), (4, 0, 4), (4, 1, 1), (4, 4, 0), (8, 2, 2), (1, 0, 1)],
)
def test_few_bulk_images_join_interactive_ones_if_images_take_long(batch: int, interactive: int, places: int) -> None:
    assert capacity.bulk_places(batch, interactive) == places


def test_a_machine_too_slow_for_one_image_is_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(capacity.TooSlow, match="BATCH_TIME_LIMIT to 271 or more"):
        measured(90.0, monkeypatch)


def test_a_longer_limit_lets_a_slow_machine_read(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.BATCH_TIME_LIMIT = 271
    assert measured(90.0, monkeypatch)[0] == 1


def test_a_smaller_batch_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        measured(0.09, monkeypatch)
    assert "a batch holds 11 images where few wait, 3 where bulk images do, 16 at most" in caplog.text
