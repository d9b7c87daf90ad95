"""A limit to the memory of each process that prepares images, so that one that takes too much fails alone."""

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
    """Have this process get a ``MemoryError`` where it asks for so much more than it has now.

    What counts is memory that the process may write to (``RLIMIT_DATA``) and not its address space (``RLIMIT_AS``),
    most of which takes no memory: libraries, and what the C library reserves for each thread.

    Args:
        size: bytes; 0 for no limit.
    """
    if size:
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = _has() + size
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most)
        )


def _has() -> int:
    """Bytes of this process that count."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not report how much memory this process has")
