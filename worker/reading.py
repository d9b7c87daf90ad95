"""Reading a batch of prepared images with the model that this process holds in memory."""

import logging
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from django.conf import settings
from numpy.typing import NDArray
from PIL import Image as Picture

from webapp.studies import services
from webapp.studies.models import Image
from worker import bundle

if TYPE_CHECKING:
    from ml.bundle import Bundle
    from ml.engines import Engine

logger = logging.getLogger(__name__)


class Reader:
    """A bundle and the engine that runs it."""

    def __init__(self, used: "Bundle", engine: "Engine") -> None:
        self.bundle = used
        self.engine = engine


_reader: Reader | None = None


def load() -> Reader:
    """Load the model and warm it up. Only ever called in the process that reads: TensorFlow does not survive a fork."""
    global _reader
    from ml import engines

    used = bundle.current()
    engine = engines.load(used.path)
    engine.warm_up(settings.MAX_BATCH)
    _reader = Reader(used, engine)
    return _reader


def read_batch(image_ids: Sequence[UUID]) -> int:
    """Read those of the images that are ready and no other worker has, and write their results.

    An image that fails does so alone.

    Returns:
        How many results were written.
    """
    reader = _reader or load()
    token, images = services.claim(image_ids)
    inputs = {image.pk: pixels for image in images if (pixels := _pixels(image, reader.bundle)) is not None}
    if not inputs:
        return 0
    started = time.perf_counter()
    answers = _predict(reader.engine, inputs)
    seconds = time.perf_counter() - started
    results = []
    for pk, (normal, pneumonia) in answers.items():
        if math.isfinite(normal) and math.isfinite(pneumonia):
            results.append(services.Result(pk, normal, pneumonia, reader.bundle.label(pneumonia)))
        else:
            services.fail(pk, "model_error", "The model gave no number for this image. Please report it.")
    return services.succeed(token, results, model=reader.bundle.id, threshold=reader.bundle.threshold, seconds=seconds)


def _pixels(image: Image, used: "Bundle") -> NDArray[np.uint8] | None:
    """The image's input as ingest stored it; where it is gone or damaged, the image fails."""
    size = used.preprocessing.size
    try:
        with image.input.open("rb") as stream, Picture.open(stream, formats=("PNG",)) as picture:
            pixels = np.asarray(picture.convert("L"))
        if pixels.shape == (size, size):
            return pixels
        logger.error("input of %s has the shape %s", image.pk, pixels.shape)
    except (OSError, ValueError, SyntaxError) as error:
        logger.error("input of %s cannot be read: %s", image.pk, error)
    services.fail(
        image.pk, "input_missing", "The prepared image is gone or damaged in the storage. Please upload it again."
    )
    return None


def _predict(engine: "Engine", inputs: dict[UUID, NDArray[np.uint8]]) -> dict[UUID, tuple[float, float]]:
    """Each image's probabilities of normal and pneumonia."""
    try:
        return _rows(list(inputs), engine.predict(np.stack(list(inputs.values()))))
    except Exception:  # whatever the engine's framework raises
        logger.exception("a batch of %d failed in the model", len(inputs))
        if len(inputs) == 1:
            services.fail(next(iter(inputs)), "model_error", "The model failed on this image. Please report it.")
            return {}
    answers: dict[UUID, tuple[float, float]] = {}
    for pk, pixels in inputs.items():
        answers |= _predict(engine, {pk: pixels})
    return answers


def _rows(ids: list[UUID], probabilities: Any) -> dict[UUID, tuple[float, float]]:
    return {pk: (float(row[0]), float(row[1])) for pk, row in zip(ids, probabilities, strict=True)}
