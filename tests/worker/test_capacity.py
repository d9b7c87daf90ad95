"""How many images a machine reads in the time that a batch may take."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from worker import tasks
from worker.infer import capacity


class Engine:
    """Takes so many seconds of a played clock for each image."""

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
    monkeypatch.setattr(capacity, "_measured", SimpleNamespace(value=0))
    settings.BATCH_TIME_LIMIT, settings.MAX_BATCH = 120, 16


def measured(seconds: float, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[int]]:
    engine = Engine(seconds, monkeypatch)
    largest: int = capacity.measure(engine, 224)  # type: ignore[arg-type]
    return largest, engine.warmed


@pytest.mark.parametrize(("seconds", "largest"), [(0.0, 16), (0.1, 16), (2.5, 16), (5.0, 8), (20.0, 2), (40.0, 1)])
def test_batches_hold_what_fits_into_a_third_of_the_limit(
    monkeypatch: pytest.MonkeyPatch, seconds: float, largest: int
) -> None:
    assert capacity.largest_batch() == 16, "before it is measured"
    assert measured(seconds, monkeypatch) == (largest, [1, largest])
    assert capacity.largest_batch() == tasks.infer.largest_batch() == largest


def test_a_machine_that_cannot_read_one_in_time_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(capacity.TooSlow, match="BATCH_TIME_LIMIT to 271 or more"):
        measured(90.0, monkeypatch)


def test_a_longer_limit_lets_a_slow_machine_read(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.BATCH_TIME_LIMIT = 271
    assert measured(90.0, monkeypatch)[0] == 1


def test_a_smaller_batch_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    measured(5.0, monkeypatch)
    assert "batches hold 8 images and not MAX_BATCH=16" in caplog.text
