"""The memory use of a worker and its children."""

import os
from pathlib import Path


def resident() -> int | None:
    """Resident bytes of this process and its children; None if the system has no /proc."""
    try:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        pages = sum(_pages(name) for name in ("self", *children))
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _pages(process: str) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):  # the process has just ended
        return 0
