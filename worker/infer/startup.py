"""Load the model when the infer worker's child starts, before it takes work."""

import logging
import os
import signal
import sys
import time
from typing import Any

from celery import signals
from django.conf import settings
from django.db import Error

from ml.bundles import answers
from ml.errors import BundleError, EngineError
from webapp.studies.services import bundles
from worker import bundle
from worker.infer import reader
from worker.infer.capacity import TooSlow
from worker.process import presence

logger = logging.getLogger(__name__)


@signals.celeryd_init.connect
def check_bundle(**_: Any) -> None:
    """Report a wrong choice of model or engine in one sentence, before the worker starts."""
    if presence.ROLE != "infer":
        return
    from ml.inference import engines

    try:
        selected = bundle.current()
        if settings.ENGINE != engines.AUTO:
            engines.require(settings.ENGINE, selected)
    except (BundleError, EngineError) as error:
        sys.stderr.write(f"This worker cannot start: {error}.\n")
        sys.exit(2)


@signals.worker_process_init.connect
def load_model(**_: Any) -> None:
    if presence.ROLE != "infer":
        return
    started = time.perf_counter()
    try:
        loaded = reader.load()
    except Exception as error:  # the engine's framework may raise anything
        # The child takes no work: images wait, without using up an attempt. Celery would only log the error and go on.
        expected = isinstance(error, BundleError | EngineError | TooSlow)
        logger.critical("This worker cannot start: %s", error, exc_info=not expected)
        _stop_worker()
        sys.exit(2)
    logger.info(
        "%s is loaded and warm in %s after %.1f s, %d images at once",
        loaded.bundle.id, loaded.engine.name, time.perf_counter() - started, loaded.max_batch,
    )  # fmt: skip
    presence.report_loaded(loaded.bundle.id, loaded.engine.device, loaded.engine.name, loaded.max_batch)
    try:
        meta = loaded.bundle.meta
        bundles.keep(loaded.bundle.id, answers.shares(meta), meta.get("inputs"))
    except Error as error:
        # Results lack this explanation until the next start; reading images goes on.
        logger.warning("could not write down what was measured of the model: %s", error)


def _stop_worker() -> None:
    """Stop the whole worker. If only this child ended, Celery would start another one, without end."""
    os.kill(os.getppid(), signal.SIGQUIT)
