"""gunicorn's settings, for every way of running the web process; the address comes with the command."""

import gc
import os
from importlib import import_module

from django.conf import settings
from prometheus_client import multiprocess

worker_class = "uvicorn_worker.UvicornWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# A file that each worker touches to show that it lives; on a disk that is busy this would block it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  (gunicorn names its file safely)
# Workers are never exchanged after some number of requests: that would cut off clients who wait for a result.
max_requests = 0
# A client who waits for a result asks again; it need not hold up a stop.
graceful_timeout = 10
control_socket_disable = True

if os.environ.get("LOG_FORMAT", "plain") != "plain":
    from webapp.observability import logs

    logconfig_dict = logs.config(os.environ["LOG_FORMAT"], os.environ.get("LOG_LEVEL") or "INFO")
    # gunicorn has a handler of its own, which uvicorn takes over. Requests are in the proxy's log.
    logconfig_dict["loggers"]["gunicorn.error"] = {"handlers": ["console"], "propagate": False}


def child_exit(server: object, worker: object) -> None:
    """Keep the gauges of a web process that died out of /metrics."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[attr-defined]


def post_worker_init(worker: object) -> None:
    """Load all views before the first request, which would wait half a second for them.

    Then let the garbage collector look at what requests leave, seldom, and not at all that is loaded for good.
    That is a sixth of what an upload costs.
    """
    import_module(settings.ROOT_URLCONF)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
