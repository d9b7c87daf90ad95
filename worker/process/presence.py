"""Workers report to the database, so that readiness checks and pages need not ask them.

A worker keeps the images that its batches have claimed as long as it reports. An infer worker is ready when its child
has the model warm in its memory. The child itself reports that; the parent notices when the child is gone.
"""

import logging
import os
import time
from collections.abc import Callable
from multiprocessing import RawValue
from typing import Any
from uuid import uuid4

from celery import signals
from django.conf import settings
from django.db import Error, close_old_connections, connections

from ml.errors import BundleError
from webapp.ops import liveness, services
from worker import bundle
from worker.process import memory

logger = logging.getLogger(__name__)

ROLE = settings.WORKER_ROLE
EVERY = 5.0
#: Identifies this start of this worker; its forked child has the same id.
WORKER = uuid4()

_node = ""
_last = 0.0
#: The process id of the child with the model, or 0. In memory shared by parent and child.
_child = RawValue("i", 0)


@signals.celeryd_after_setup.connect
def _start(sender: str, **_: Any) -> None:
    global _node
    _node = sender
    liveness.mark(healthy=False)  # a worker that was killed in this container may have left the mark
    attempt(services.replace_worker, WORKER, _node)
    if ROLE == "infer":
        _report(ready=False)


def report_loaded(model: str, device: str, engine: str, max_batch: int) -> None:
    """Report that the child has the model warm in its memory. It takes no work before the report is saved.

    Otherwise its batches would be treated as those of a worker that is gone.
    """
    _child.value = os.getpid()
    while not _report(ready=True, model=model, device=device, engine=engine, max_batch=max_batch):
        time.sleep(1)


@signals.worker_ready.connect
def _ready(**_: Any) -> None:
    if ROLE != "infer":
        _report(ready=True, **_prepares_for())


def _prepares_for() -> dict[str, Any]:
    """The model that this worker prepares images for; empty if it prepares none or the model is missing."""
    if ROLE not in ("ingest", "bulk"):
        return {}
    try:
        current = bundle.current()
    except BundleError as error:
        logger.error("no model to prepare for: %s", error)
        return {}
    return {"model": current.id, "operating_points": list(current.thresholds)}


@signals.heartbeat_sent.connect
def _heartbeat(**_: Any) -> None:
    global _last
    if not _node:
        return
    if _child.value and not _runs(_child.value):
        child_is_gone()
    if time.monotonic() - _last > EVERY:
        _last = time.monotonic()
        liveness.renew()
        attempt(services.renew_worker, WORKER, _node, ROLE, ready=ROLE != "infer", memory=memory.resident())


def child_is_gone() -> None:
    """Report that the process with the model is gone. Its successor reports when it is ready."""
    _child.value = 0
    liveness.mark(healthy=False)
    attempt(services.worker_is_not_ready, WORKER)


@signals.worker_shutdown.connect
def _leave(**_: Any) -> None:
    liveness.mark(healthy=False)
    attempt(services.forget_worker, WORKER)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _report(*, ready: bool, **facts: Any) -> bool:
    liveness.mark(healthy=ready)
    return attempt(services.report_worker, WORKER, _node, ROLE, ready=ready, **facts)


def attempt(report: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
    """Send a report; whether it could be saved. If not, only readiness is affected, not the work."""
    # The worker's parent runs no tasks, so nothing else replaces a connection that broke.
    close_old_connections()
    try:
        report(*args, **kwargs)
    except Error as error:
        logger.warning("could not report: %s", error)
        return False
    finally:
        disconnect()
    return True


def disconnect() -> None:
    """Close the parent's connections: a child that is forked now would share them, and close them for both."""
    connections.close_all()
