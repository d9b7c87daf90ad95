"""The prepared images as arrays, those of the next batch while the device still reads the last one."""

import hashlib
import io
import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import Error, close_old_connections
from numpy.typing import NDArray
from PIL import Image as Picture

from webapp.observability import correlation
from webapp.studies.models import Image

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]


class Away(Exception):
    """The storage does not answer; nothing is known of the input."""


class Damaged(Exception):
    """The stored input is not what was prepared."""


class Inputs:
    """Loads what ingest stored.

    Args:
        size: side of an input in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        # The device has nothing to do meanwhile, so all processors may decode.
        self._threads = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="inputs")
        # One thread, so that looking ahead takes one connection to the database.
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._ahead: Future[dict[UUID, Pixels]] | None = None

    def of(self, images: Sequence[Image]) -> dict[UUID, Pixels | Damaged | None]:
        """The images' inputs, ``(size, size)`` each, None where one is gone, or Damaged.

        Those are left out that the storage, being away, did not give.
        """
        ahead: dict[UUID, Pixels | Damaged | None] = {}
        if self._ahead:
            ahead |= self._ahead.result()
        self._ahead = None
        missing = [image for image in images if image.pk not in ahead]
        loaded = dict(zip((image.pk for image in missing), self._threads.map(self._load, missing), strict=True))
        found = ahead | {pk: pixels for pk, pixels in loaded.items() if not isinstance(pixels, Away)}
        return {image.pk: found[image.pk] for image in images if image.pk in found}

    def look_ahead(self) -> None:
        """Begin to load those that will probably be next; whether they will be is not for this to decide."""
        self._ahead = self._looking.submit(self._next)

    def _next(self) -> dict[UUID, Pixels]:
        close_old_connections()
        try:
            expected = list(Image.objects.next_to_read()[: settings.MAX_BATCH])
        except Error as error:
            logger.warning("could not look ahead: %s", error)
            return {}
        loaded = ((image.pk, self._load(image)) for image in expected)
        return {pk: pixels for pk, pixels in loaded if isinstance(pixels, np.ndarray)}

    def _load(self, image: Image) -> "Pixels | Away | Damaged | None":
        try:
            with image.input.open("rb") as stream:
                content = stream.read()
        except (FileNotFoundError, ValueError) as error:
            logger.error("input of %s is gone: %s", image.pk, error)
            return None
        except OSError as error:
            logger.warning("input of %s cannot be had now: %s", image.pk, error)
            return Away()
        if image.input_sha256 not in ("", hashlib.sha256(content).hexdigest()):
            logger.error("input of %s is damaged", image.pk, extra=correlation.log_fields(image))
            return Damaged()
        try:
            with Picture.open(io.BytesIO(content), formats=("PNG",)) as picture:
                pixels = np.asarray(picture if picture.mode == "L" else picture.convert("L"))
            if pixels.shape == (self.size, self.size):
                return pixels
            logger.error("input of %s has the shape %s", image.pk, pixels.shape, extra=correlation.log_fields(image))
        except (OSError, ValueError, SyntaxError) as error:
            logger.error("input of %s cannot be read: %s", image.pk, error, extra=correlation.log_fields(image))
        return None
