"""Read a batch of prepared images with the model that this process holds in memory."""

import gc
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray

from webapp.departments import calibrations
from webapp.departments.models import LOCAL
from webapp.observability import correlation
from webapp.studies import dispatch
from webapp.studies.services import reading
from worker import bundle
from worker.infer import capacity
from worker.infer.inputs import Damaged, Inputs
from worker.process import metrics, presence

if TYPE_CHECKING:
    from ml.bundles.bundle import Bundle
    from ml.inference.engines import Engine
    from ml.inference.novelty import Check
    from webapp.departments.models import Calibration, Department
    from webapp.studies.models import Reading

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reader:
    """A bundle, the engine that runs it, its check for out-of-domain images if there is one, and its limits."""

    bundle: "Bundle"
    engine: "Engine"
    check: "Check | None"
    inputs: Inputs
    max_batch: int = settings.MAX_BATCH

    def bundle_for(self, department: "Department | None") -> "Bundle":
        """The bundle at a department's operating point; unchanged if the bundle has no such point."""
        chosen = department.operating_point if department else ""
        return self.bundle.at(chosen) if chosen in self.bundle.thresholds else self.bundle

    @property
    def model(self) -> reading.Model:
        """The fields of results that describe the bundle."""
        used = self.bundle
        return reading.Model(used.id, used.threshold, used.operating_point, used.thresholds)


@dataclass(frozen=True)
class Answer:
    """The outputs of one pass through the network for one image.

    Attributes:
        probabilities: in the order of the bundle's classes.
        warnings: in the form of :class:`webapp.studies.models.Reading`.
        heatmap: the heat map, one byte for each position.
        outside: whether the map's strongest places are outside the lungs.
        inside: as :attr:`webapp.studies.models.Reading.evidence_inside_lungs`.
        distance: as :attr:`webapp.studies.models.Reading.distance`.
    """

    probabilities: tuple[float, ...]
    warnings: list[dict[str, str]]
    heatmap: bytes
    outside: bool = False
    inside: float | None = None
    distance: float | None = None


_reader: Reader | None = None


def load() -> Reader:
    """Load the model and warm it up. Call it only in the process that reads: engines do not survive a fork.

    Raises:
        BundleError: the bundle cannot be used.
        EngineError: the engine cannot be used.
        TooSlow: this machine cannot read a single image in time.
    """
    global _reader
    from ml.inference import choice, engines, novelty

    selected = bundle.current()
    check = novelty.load(selected)
    name = settings.ENGINE
    if name == engines.AUTO:
        name = choice.choose(selected, Path(settings.DATA_DIR) / "engines.json", settings.KERAS_PRECISION)
    engine = engines.load(selected.path, name, settings.KERAS_PRECISION)
    side = selected.preprocessing.size
    max_batch = capacity.measure(engine, side)
    # Exclude the loaded objects from garbage collection, which would scan them again and again.
    gc.collect()
    gc.freeze()
    _reader = Reader(selected, engine, check, Inputs(side, selected.id), max_batch)
    return _reader


def read_batch(image_ids: Sequence[UUID], claim: UUID | None = None, *, bulk: bool = False) -> int:
    """Read the images that are ready for this model and that no other worker has claimed, and save their results.

    An image that fails does not make others fail.

    Args:
        image_ids: ids of the images.
        claim: the batch's own id; None for a new one.
        bulk: whether bulk images get the remaining places, by their turns.

    Returns:
        How many results were written.
    """
    reader = _reader or load()
    token = claim or uuid4()
    requested_ids = image_ids[: reader.max_batch]
    places = capacity.bulk_places(min(reader.max_batch, capacity.short_batch()), len(requested_ids)) if bulk else 0
    held = reading.claim(token, presence.WORKER, reader.bundle.id, requested_ids, places)
    if places and sum(one.image_id not in requested_ids for one in held) == places:
        # More images may wait; other workers may have time for them.
        dispatch.wake_reader(held[0].image)
    loaded = reader.inputs.load(held)
    if unavailable := [one.image_id for one in held if one.image_id not in loaded]:
        reading.return_unread(token, unavailable)
    inputs = _present(token, loaded)
    written = _read_held(reader, token, held, inputs) if inputs else 0
    if excess := image_ids[len(requested_ids) :]:
        # These were sent before the batch size was measured.
        dispatch.send_readings(reading.ready(reader.bundle.id, excess))
    return written


def _read_held(reader: Reader, token: UUID, held: Sequence["Reading"], inputs: dict[UUID, NDArray[np.uint8]]) -> int:
    reader.inputs.look_ahead()
    started = time.perf_counter()
    answers = _read(reader, token, inputs)
    seconds = time.perf_counter() - started
    capacity.observe(len(inputs), seconds)
    reading_by_image = {one.image_id: one for one in held}
    own = calibrations.in_force(reader.bundle.id, [one.image.department_id for one in held])
    results = []
    for pk, answer in answers.items():
        if all(math.isfinite(probability) for probability in answer.probabilities):
            held_reading = reading_by_image[pk]
            department = held_reading.image.department_id
            results.append(_result(reader, held_reading, answer, own.get(department) if department else None))
        else:
            reading.fail(token, pk, "model_error", "The model gave no number for this image. Please report it.")
    written = reading.succeed(token, results, reader.model, seconds=seconds)
    if written:
        ids = {result.image_id for result in results}
        if written < len(results):
            ids = reading.written(token, ids)
        _record([one for one in held if one.image_id in ids], len(results), seconds)
    return written


def _result(reader: Reader, held: "Reading", answer: Answer, own: "Calibration | None") -> reading.Result:
    from ml.inference import evidence, novelty

    pneumonia, used = answer.probabilities[-1], reader.bundle_for(held.image.department)
    probabilities: Sequence[float] = answer.probabilities
    if own:
        pneumonia, used = own.line.apply(pneumonia), reader.bundle.with_thresholds(own.operating_points, LOCAL)
        probabilities = (1 - pneumonia, pneumonia)
    named_probabilities = dict(zip(reader.bundle.classes, probabilities, strict=True))
    warnings = evidence.with_doubt(answer.warnings, answer.outside, pneumonia, used)
    return reading.Result(
        held.image_id,
        named_probabilities,
        pneumonia,
        used.label(pneumonia),
        warnings=novelty.together(held.warnings, warnings),
        heatmap=answer.heatmap,
        distance=answer.distance,
        evidence_inside_lungs=answer.inside,
        operating_point=used.operating_point,
        calibration=own.stated if own else None,
        operating_points=used.thresholds if own else {},
    )


def _record(written: Sequence["Reading"], batch_size: int, seconds: float) -> None:
    """Log a batch's results and count them in the metrics."""
    metrics.batch(batch_size, seconds)
    # Waiting times exclude shadow readings.
    times = [(one.priority, one.image.created_at, one.ready_at, one.claimed_at) for one in written if not one.shadow]
    metrics.read(times, timezone.now())
    for one in written:
        logger.info("image %s read in a batch of %d", one.image_id, batch_size, extra=correlation.log_fields(one.image))


def _present(token: UUID, inputs: Mapping[UUID, NDArray[np.uint8] | Damaged | None]) -> dict[UUID, NDArray[np.uint8]]:
    """Return the inputs that could be loaded, and fail the other images."""
    for pk, pixels in inputs.items():
        if isinstance(pixels, Damaged):
            detail = "The prepared image was damaged in the storage. Please upload it again."
            reading.fail(token, pk, "file_damaged", detail)
        elif pixels is None:
            reading.fail(
                token, pk, "input_missing",
                "The prepared image is gone or damaged in the storage. Please upload it again.",
            )  # fmt: skip
    return {pk: pixels for pk, pixels in inputs.items() if isinstance(pixels, np.ndarray)}


def _read(reader: Reader, token: UUID, inputs: dict[UUID, NDArray[np.uint8]]) -> dict[UUID, Answer]:
    """Return the network's outputs for each image. If the batch fails, its images are read one by one."""
    try:
        return dict(zip(inputs, _answers(reader, np.stack(list(inputs.values()))), strict=True))
    except Exception:  # the engine's framework may raise anything
        logger.exception("a batch of %d failed in the model", len(inputs))
        if len(inputs) == 1:
            message = "The model failed on this image. Please report it."
            reading.fail(token, next(iter(inputs)), "model_error", message)
            return {}
    answers: dict[UUID, Answer] = {}
    for pk, pixels in inputs.items():
        answers |= _read(reader, token, {pk: pixels})
    return answers


def _answers(reader: Reader, batch: NDArray[np.uint8]) -> list[Answer]:
    from ml.inference import evidence, heatmaps, lungs, novelty

    readings = reader.engine.read(batch)
    maps, masks = heatmaps.to_bytes(readings.maps), lungs.masks(batch)
    doubts = novelty.warnings_of(reader.check, readings.features, batch)
    distances = novelty.distances_of(reader.check, readings.features)
    shares = [None if math.isnan(share) else share for share in evidence.share_inside(maps, masks).tolist()]
    outside = evidence.is_outside(maps, masks).tolist()
    answered = zip(readings.probabilities.tolist(), doubts, maps, outside, shares, distances, strict=True)
    return [
        Answer(tuple(probabilities), doubt, heatmap.tobytes(), is_outside, share, distance)
        for probabilities, doubt, heatmap, is_outside, share, distance in answered
    ]
