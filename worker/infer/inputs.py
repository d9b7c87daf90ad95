"""Load prepared images as arrays, those of the next batch while the device still reads the last one."""

import io
import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import Error, close_old_connections
from numpy.typing import NDArray
from PIL import Image as Picture

from webapp.refusals import Refused
from webapp.studies.files import stored
from webapp.studies.models import Reading
from worker.infer import capacity

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]


class Away(Exception):
    """The storage does not answer, so the state of the input is unknown."""


class Damaged(Exception):
    """The stored input differs from what was prepared."""


class Inputs:
    """Loads the inputs that ingest stored.

    Args:
        size: side of an input in pixels.
        bundle: id of the model that they are for.
    """

    def __init__(self, size: int, bundle: str) -> None:
        self.size = size
        self.bundle = bundle
        # The device is idle meanwhile, so all processors may decode.
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="inputs")
        # One thread, so that prefetching uses one connection to the database.
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._ahead: Future[dict[UUID, Pixels]] | None = None
        #: Inputs that were prefetched and not read yet.
        self._left: dict[UUID, Pixels] = {}

    def load(self, readings: Sequence[Reading]) -> dict[UUID, Pixels | Damaged | None]:
        """Each image's input as an array ``(size, size)``, None if it is gone, or Damaged.

        Leave out images that the storage does not deliver, at once or within a share of the batch's time limit.
        """
        seconds = settings.BATCH_TIME_LIMIT * capacity.SHARE
        ahead = self._ahead_within(seconds)
        requested_ids = {reading.image_id for reading in readings}
        self._left = {pk: pixels for pk, pixels in ahead.items() if pk not in requested_ids}
        missing = [reading for reading in readings if reading.image_id not in ahead]
        futures = {self._threads.submit(self._load, reading): reading.image_id for reading in missing}
        loaded = {futures[future]: future.result() for future in wait(futures, seconds).done}
        for future in futures:
            future.cancel()
        inputs: dict[UUID, Pixels | Damaged | None] = {**ahead}
        inputs |= {pk: pixels for pk, pixels in loaded.items() if not isinstance(pixels, Away)}
        return {reading.image_id: inputs[reading.image_id] for reading in readings if reading.image_id in inputs}

    def _ahead_within(self, seconds: float) -> dict[UUID, Pixels]:
        ahead, self._ahead = self._ahead, None
        try:
            return ahead.result(seconds) if ahead else {}
        except TimeoutError:
            return {}

    def look_ahead(self) -> None:
        """Prefetch the inputs that will probably be read next. The next batch may turn out to hold others."""
        self._ahead = self._looking.submit(self._next)

    def _next(self) -> dict[UUID, Pixels]:
        close_old_connections()
        try:
            next_readings = Reading.objects.next_to_read(self.bundle).only("image", "input", "input_sha256")
            readings = list(next_readings[: capacity.largest_batch()])
        except Error as error:
            logger.warning("could not look ahead: %s", error)
            return {}
        left = self._left
        loaded = ((one.image_id, left[one.image_id] if one.image_id in left else self._load(one)) for one in readings)
        return {pk: pixels for pk, pixels in loaded if isinstance(pixels, np.ndarray)}

    def _load(self, reading: Reading) -> "Pixels | Away | Damaged | None":
        fields = {"image_id": str(reading.image_id)}
        try:
            content = stored.read(reading.input.name, reading.input_sha256)
        except FileNotFoundError as error:
            logger.error("input of %s is gone: %s", reading.image_id, error, extra=fields)
            return None
        except OSError as error:
            logger.warning("input of %s cannot be had now: %s", reading.image_id, error, extra=fields)
            return Away()
        except Refused:
            logger.error("input of %s is damaged", reading.image_id, extra=fields)
            return Damaged()
        try:
            with Picture.open(io.BytesIO(content), formats=("PNG",)) as picture:
                pixels = np.asarray(picture if picture.mode == "L" else picture.convert("L"))
            if pixels.shape == (self.size, self.size):
                return pixels
            logger.error("input of %s has the shape %s", reading.image_id, pixels.shape, extra=fields)
        except (OSError, ValueError, SyntaxError) as error:
            logger.error("input of %s cannot be read: %s", reading.image_id, error, extra=fields)
        return None
