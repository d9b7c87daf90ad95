"""Load the model when the infer worker's child starts, before it takes work."""

import logging
import time
from typing import Any

from celery import signals

from worker.infer import reader
from worker.process import presence

logger = logging.getLogger(__name__)


@signals.worker_process_init.connect
def load_model(**_: Any) -> None:
    if presence.ROLE != "infer":
        return
    started = time.perf_counter()
    loaded = reader.load()
    logger.info("%s is loaded and warm after %.1f s", loaded.bundle.id, time.perf_counter() - started)
    presence.report_loaded(loaded.bundle.id, loaded.engine.device)
