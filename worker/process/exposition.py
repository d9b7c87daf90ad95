"""Expose the workers' metrics to Prometheus: a prefork child does the work, and its parent answers Prometheus.

With ``PROMETHEUS_MULTIPROC_DIR`` metrics are written to files in that folder, for any process that shares it (under
``make run`` the web process, whose /metrics then shows everything). With ``METRICS_PORT`` the worker's parent serves
them itself. Without either, nothing reads the metrics, and nothing is written.

Call :func:`prepare` before any metric is created, that is, before Django is set up.
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
#: Differs between workers of one role that share the folder.
_worker = os.environ.get("PNEUMOQUEUE_WORKER", _role)
_identity = f"{_worker}-parent"
_server: WSGIServer | None = None


def prepare() -> None:
    """Make this process and its children write metrics to files, if the environment asks for metrics."""
    if os.environ.get(PORT) and not os.environ.get(DIRECTORY):
        os.environ[DIRECTORY] = folder = tempfile.mkdtemp(prefix="pneumoqueue-metrics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if os.environ.get(DIRECTORY):
        # Files are named by the child's place in the pool, not by its process id: its successor continues its files,
        # so that a killed child leaves none behind, and no counter ever decreases.
        values.ValueClass = values.MultiProcessValue(lambda: _identity)


@signals.worker_process_init.connect
def _in_child(**_: Any) -> None:
    enter_child(getattr(current_process(), "index", 0))


def enter_child(place: int) -> None:
    """Write metrics as a child from now on.

    Args:
        place: the child's number among the children of its parent.
    """
    global _identity, _server
    from worker.process import metrics

    _identity = f"{_worker}-{place}"
    if _server:
        # Only the parent answers; a child that outlives it must not hold its port.
        _server.socket.close()
        _server = None
    metrics.starts.labels(_role).inc()


@signals.worker_init.connect
def serve(**_: Any) -> None:
    """Serve metrics to Prometheus at METRICS_PORT, if that is set."""
    global _server
    if not (port := os.environ.get(PORT)):
        return
    registry = CollectorRegistry()
    # The collector registers itself.
    multiprocess.MultiProcessCollector(registry)
    ProcessCollector(registry=registry)
    try:
        _server, _thread = start_http_server(int(port), registry=registry)
    except (OSError, ValueError, OverflowError) as error:
        # Prometheus notices the missing answer; the worker does its work anyway.
        logger.error("metrics cannot be served at %s=%s: %s", PORT, port, error)
