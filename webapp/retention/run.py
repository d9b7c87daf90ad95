"""A run of the purge, which every step gets."""

import time
from collections import Counter
from dataclasses import dataclass, field

from webapp.retention.models import PurgeReport


@dataclass
class Run:
    """A run in progress.

    Attributes:
        report: the report of the run.
        until: the time at which it has to end, by :func:`time.monotonic`.
        dry: whether to count only what would be deleted.
        force: whether to delete orphans, however many there are.
        removed: number of deleted rows or files by kind.
        unfinished: whether a step ran out of time.
    """

    report: PurgeReport
    until: float
    dry: bool = False
    force: bool = False
    removed: Counter[str] = field(default_factory=Counter)
    unfinished: bool = False

    def has_time(self) -> bool:
        if time.monotonic() < self.until:
            return True
        self.unfinished = True
        return False
