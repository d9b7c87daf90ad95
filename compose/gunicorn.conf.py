"""gunicorn's settings, for every way of running the web process. The command gives the address."""

import gc
import os
from importlib import import_module

from django.conf import settings
from prometheus_client import multiprocess

worker_class = "uvicorn_worker.UvicornWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# Each worker touches a file to show that it is alive; on a busy disk this could block it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  (gunicorn names its file safely)
# Workers are never restarted after some number of requests: that would cut off clients that wait for a result.
max_requests = 0
# A client that waits for a result asks again, so it need not delay a stop.
graceful_timeout = 10
control_socket_disable = True

if os.environ.get("LOG_FORMAT", "plain") != "plain":
    from webapp.observability import logs

    logconfig_dict = logs.config(os.environ["LOG_FORMAT"], os.environ.get("LOG_LEVEL") or "INFO")
    # gunicorn has its own handler, which uvicorn takes over. Requests are in the proxy's log.
    logconfig_dict["loggers"]["gunicorn.error"] = {"handlers": ["console"], "propagate": False}


def child_exit(server: object, worker: object) -> None:
    """Remove the gauges of a web process that died from /metrics."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[attr-defined]


def post_worker_init(worker: object) -> None:
    """Load all views before the first request, which would otherwise wait half a second for them.

    Then make the garbage collector ignore everything that is loaded now, and run rarely for what requests leave
    behind. This saves a sixth of the cost of an upload.
    """
    import_module(settings.ROOT_URLCONF)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
