"""A fake engine, and helpers for tests of batches."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.inference.engines import Readings
from webapp.studies.choices import Status
from webapp.studies.models import Image
from worker import bundle
from worker.infer import reader
from worker.infer.inputs import Inputs

Prepared = Callable[..., Image]
#: Shades of grey for which the engine below gives NaN, or raises.
GIVES_NAN, RAISES = 13, 66


class Engine:
    """Returns an image's shade of grey as its probability of pneumonia."""

    name = "played"
    device = "the test"

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.warmed_for = 0
        self.during_read: Callable[[], Any] = lambda: None

    def warm_up(self, max_batch: int) -> None:
        self.warmed_for = max_batch

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.read(batch).probabilities

    def read(self, batch: NDArray[np.uint8]) -> Readings:
        assert batch.shape[1:] == (224, 224)
        assert batch.dtype == np.uint8
        shades = [int(pixels[0, 0]) for pixels in batch]
        self.batches.append(shades)
        self.during_read()
        if RAISES in shades:
            raise RuntimeError("out of memory")
        rows = [(1 - shade / 255, np.nan if shade == GIVES_NAN else shade / 255) for shade in shades]
        maps = [np.full((7, 7), shade, np.float32) for shade in shades]
        features = [[shade, 1.0] for shade in shades]
        return Readings(np.array(rows, np.float32), np.array(features, np.float32), np.array(maps))


@pytest.fixture(autouse=True)
def engine(installed: Any, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine of a process that has its model loaded."""
    fake = Engine()
    monkeypatch.setattr(reader, "_reader", reader.Reader(bundle.current(), fake, None, Inputs(224, "chest-1.2.0")))
    return fake


def refreshed(*images: Image) -> list[Image]:
    for image in images:
        image.refresh_from_db()
    return list(images)


def states(*images: Image) -> list[tuple[str, str]]:
    return [(image.status, image.error_code) for image in refreshed(*images)]


SUCCEEDED = (Status.SUCCEEDED, "")


def messages(*images: Image, queue: str = "infer.interactive", **kwargs: Any) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(args=(str(image.pk),), kwargs=kwargs, delivery_info={"routing_key": queue}) for image in images
    ]
