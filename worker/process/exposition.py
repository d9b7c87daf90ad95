"""How the workers' metrics get to Prometheus, although a prefork child does the work and its parent answers.

With ``PROMETHEUS_MULTIPROC_DIR`` they are counted in files there, for any process that shares the folder (under
``make run`` the web process, whose /metrics then shows everything). With ``METRICS_PORT`` the worker's parent serves
them itself. With neither nobody asks, and nothing is written.

Call :func:`prepare` before any metric is made, that is, before Django is set up.
"""

import atexit
import logging
import os
import shutil
import tempfile
from typing import Any
from wsgiref.simple_server import WSGIServer

from billiard import current_process
from celery import signals
from prometheus_client import CollectorRegistry, ProcessCollector, multiprocess, start_http_server, values

logger = logging.getLogger(__name__)

DIRECTORY, PORT = "PROMETHEUS_MULTIPROC_DIR", "METRICS_PORT"

_role = os.environ.get("PNEUMOQUEUE_ROLE", "worker")
_identity = f"{_role}-parent"
_server: WSGIServer | None = None


def prepare() -> None:
    """Have this process and its children count into files, where someone will read them."""
    if os.environ.get(PORT) and not os.environ.get(DIRECTORY):
        os.environ[DIRECTORY] = folder = tempfile.mkdtemp(prefix="pneumoqueue-metrics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if os.environ.get(DIRECTORY):
        # By the child's place in the pool, not by its process id: its successor goes on with its files, so that a
        # child that is killed leaves none behind, and no counter ever falls.
        values.ValueClass = values.MultiProcessValue(lambda: _identity)


@signals.worker_process_init.connect
def _in_child(**_: Any) -> None:
    enter_child(getattr(current_process(), "index", 0))


def enter_child(place: int) -> None:
    """Count in a child from now on, whose place among the children of its parent this is."""
    global _identity, _server
    from worker.process import metrics

    _identity = f"{_role}-{place}"
    if _server:
        # It is the parent who answers; a child that outlives it must not hold its port.
        _server.socket.close()
        _server = None
    metrics.starts.labels(_role).inc()


@signals.worker_init.connect
def serve(**_: Any) -> None:
    """Answer Prometheus at METRICS_PORT, if that is set."""
    global _server
    if not (port := os.environ.get(PORT)):
        return
    registry = CollectorRegistry()
    # It registers itself.
    multiprocess.MultiProcessCollector(registry)
    ProcessCollector(registry=registry)
    try:
        _server, _thread = start_http_server(int(port), registry=registry)
    except (OSError, ValueError, OverflowError) as error:
        # Prometheus sees that it gets no answer; images are read all the same.
        logger.error("metrics cannot be served at %s=%s: %s", PORT, port, error)
