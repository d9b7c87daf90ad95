"""Limit the memory of each process that prepares images, so that an image that needs too much fails alone."""

import resource
from pathlib import Path
from typing import Any

from celery import signals
from django.conf import settings


@signals.worker_process_init.connect
def _limit(**_: Any) -> None:
    if settings.WORKER_ROLE in ("ingest", "bulk"):
        limit(settings.PREPARE_MEMORY_BYTES)


def limit(size: int) -> None:
    """Make this process raise ``MemoryError`` if it allocates more than ``size`` bytes beyond its current memory.

    The limit is on writable memory (``RLIMIT_DATA``), not on the address space (``RLIMIT_AS``), most of which uses no
    memory: libraries, and what the C library reserves for each thread.

    Args:
        size: bytes; 0 for no limit.
    """
    if size:
        _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
        new_limit = _data_size() + size
        resource.setrlimit(
            resource.RLIMIT_DATA,
            (new_limit if hard_limit == resource.RLIM_INFINITY else min(new_limit, hard_limit), hard_limit),
        )


def _data_size() -> int:
    """Bytes of this process that count towards ``RLIMIT_DATA``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not report how much memory this process has")
