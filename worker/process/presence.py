"""Workers tell the database that they are there, so that readiness and pages need not ask them.

An infer worker is ready when its child has the model warm in its memory, which the child itself says.
"""

import logging
import time
from typing import Any

from celery import signals
from django.conf import settings
from django.db import Error, close_old_connections, connections

from webapp.ops import liveness, services

logger = logging.getLogger(__name__)

ROLE = settings.WORKER_ROLE
EVERY = 5.0

_node = ""
_last = 0.0


@signals.celeryd_after_setup.connect
def _name(sender: str, **_: Any) -> None:
    global _node
    _node = sender
    liveness.mark(healthy=False)  # one that was killed in this container has left it
    if ROLE == "infer":
        _say(False)


def report_loaded(model: str, device: str) -> None:
    """The child has the model warm in its memory."""
    _say(True, model=model, device=device)


@signals.worker_ready.connect
def _ready(**_: Any) -> None:
    if ROLE != "infer":
        _say(True)


@signals.heartbeat_sent.connect
def _alive(**_: Any) -> None:
    global _last
    if _node and time.monotonic() - _last > EVERY:
        _last = time.monotonic()
        liveness.renew()
        _try(services.worker_is_alive, _node, ROLE, ready=ROLE != "infer")


def child_is_gone() -> None:
    """The parent lost the process with the model; its successor will say when it is ready."""
    _say(False)


@signals.worker_shutdown.connect
def _gone(**_: Any) -> None:
    liveness.mark(healthy=False)
    _try(services.forget_worker, _node)


def _say(ready: bool, model: str = "", device: str = "") -> None:
    liveness.mark(healthy=ready)
    _try(services.report_worker, _node, ROLE, ready=ready, model=model, device=device)


def _try(report: Any, *args: Any, **kwargs: Any) -> None:
    """A report that cannot be written is missed by readiness, not by the work."""
    # The worker's parent runs no tasks, after which Celery would replace a connection that broke.
    close_old_connections()
    try:
        report(*args, **kwargs)
    except Error as error:
        logger.warning("could not report: %s", error)
    finally:
        disconnect()


def disconnect() -> None:
    """Leave the parent without a connection: a child that is started now would share it, and close it for both."""
    connections.close_all()
