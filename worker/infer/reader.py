"""Reading a batch of prepared images with the model that this process holds in memory."""

import gc
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray

from webapp.observability import correlation
from webapp.studies.services import failures, reading
from worker import bundle
from worker.infer.inputs import Damaged, Inputs
from worker.process import metrics

if TYPE_CHECKING:
    from ml.bundles.bundle import Bundle
    from ml.inference.engines import Engine
    from ml.inference.novelty import Check
    from webapp.studies.models import Image

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reader:
    """A bundle, the engine that runs it, its check for what is no chest X-ray, where it has one, and what it reads."""

    bundle: "Bundle"
    engine: "Engine"
    check: "Check | None"
    inputs: Inputs


@dataclass(frozen=True)
class Answer:
    """What one pass through the network tells of an image.

    Attributes:
        warnings: as :class:`webapp.studies.models.Prediction` has them.
        heatmap: its map, a byte for each place.
    """

    normal: float
    pneumonia: float
    warnings: list[dict[str, str]]
    heatmap: bytes


_reader: Reader | None = None


def load() -> Reader:
    """Load the model and warm it up. Only ever called in the process that reads: TensorFlow does not survive a fork."""
    global _reader
    from ml.inference import engines, novelty

    used = bundle.current()
    check = novelty.load(used)
    engine = engines.load(used.path)
    engine.warm_up(settings.MAX_BATCH)
    # What was loaded stays; without this the garbage collector would look through all of it again and again.
    gc.collect()
    gc.freeze()
    _reader = Reader(used, engine, check, Inputs(used.preprocessing.size))
    return _reader


def read_batch(image_ids: Sequence[UUID]) -> int:
    """Read those of the images that are ready and no other worker has, and write their results.

    An image that fails does so alone.

    Returns:
        How many results were written.
    """
    reader = _reader or load()
    token, images = reading.claim(image_ids)
    found = reader.inputs.of(images)
    if away := [image.pk for image in images if image.pk not in found]:
        reading.return_unread(token, away)
    inputs = _present(found)
    if not inputs:
        return 0
    reader.inputs.look_ahead()
    started = time.perf_counter()
    answers = _read(reader, inputs)
    seconds = time.perf_counter() - started
    results = []
    for pk, said in answers.items():
        if math.isfinite(said.normal) and math.isfinite(said.pneumonia):
            results.append(reading.Result(pk, label=reader.bundle.label(said.pneumonia), **vars(said)))
        else:
            failures.fail(pk, "model_error", "The model gave no number for this image. Please report it.")
    bundle = reader.bundle
    written = reading.succeed(
        token, results, model=bundle.id, threshold=bundle.threshold, operating_point=bundle.operating_point,
        seconds=seconds,
    )  # fmt: skip
    _tell([image for image in images if image.pk in answers], seconds)
    return written


def _tell(images: Sequence["Image"], seconds: float) -> None:
    """The log and Prometheus hear of a batch that was read."""
    if not images:
        return
    metrics.batch(len(images), seconds)
    times = [(image.priority, image.created_at, image.ready_at, image.claimed_at) for image in images]
    metrics.read(times, timezone.now())
    for image in images:
        logger.info("image %s read in a batch of %d", image.pk, len(images), extra=correlation.log_fields(image))


def _present(inputs: Mapping[UUID, NDArray[np.uint8] | Damaged | None]) -> dict[UUID, NDArray[np.uint8]]:
    """Those inputs that could be loaded; the other images fail."""
    for pk, pixels in inputs.items():
        if isinstance(pixels, Damaged):
            failures.fail(pk, "file_damaged", "The prepared image was damaged in the storage. Please upload it again.")
        elif pixels is None:
            failures.fail(
                pk, "input_missing",
                "The prepared image is gone or damaged in the storage. Please upload it again.",
            )  # fmt: skip
    return {pk: pixels for pk, pixels in inputs.items() if isinstance(pixels, np.ndarray)}


def _read(reader: Reader, inputs: dict[UUID, NDArray[np.uint8]]) -> dict[UUID, Answer]:
    """What the network tells of each image."""
    try:
        return dict(zip(inputs, _answers(reader, np.stack(list(inputs.values()))), strict=True))
    except Exception:  # whatever the engine's framework raises
        logger.exception("a batch of %d failed in the model", len(inputs))
        if len(inputs) == 1:
            failures.fail(next(iter(inputs)), "model_error", "The model failed on this image. Please report it.")
            return {}
    answers: dict[UUID, Answer] = {}
    for pk, pixels in inputs.items():
        answers |= _read(reader, {pk: pixels})
    return answers


def _answers(reader: Reader, batch: NDArray[np.uint8]) -> list[Answer]:
    from ml.inference import novelty
    from ml.networks import explain

    said = reader.engine.read(batch)
    return [
        Answer(float(normal), float(pneumonia), warnings, heatmap.tobytes())
        for (normal, pneumonia), warnings, heatmap in zip(
            said.probabilities,
            novelty.warnings_of(reader.check, said.features, batch),
            explain.to_bytes(said.maps),
            strict=True,
        )
    ]
