"""The workers' metrics for Prometheus.

The prefork child does the work, so it writes metrics to files, which its parent or the web process on the same machine
reads (:mod:`worker.process.exposition`). This module imports neither Django nor a deep-learning framework.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from prometheus_client import Counter, Histogram

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 1800, 3600)
BATCH = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128)

stage_seconds = Histogram(
    "pneumoqueue_stage_seconds",
    "Time that an image took: prepare (upload to ready), wait (ready to claimed by a batch), read (claimed to result), "
    "total (upload to result)",
    ["stage", "priority"],
    buckets=SECONDS,
)
batch_size = Histogram("pneumoqueue_batch_size", "Images in a batch", buckets=BATCH)
model_seconds = Histogram("pneumoqueue_model_seconds", "Time of a batch in the model", buckets=SECONDS)
batches_lost = Counter("pneumoqueue_batches_lost", "Batches whose process died with them")
starts = Counter("pneumoqueue_worker_starts", "Starts of processes that do a worker's work", ["role"])
deliveries = Counter("pneumoqueue_outbox_deliveries", "Attempts to deliver what is in the outbox", ["kind", "outcome"])
dicom_associations = Counter("pneumoqueue_dicom_associations", "Associations that senders asked for", ["outcome"])
dicom_instances = Counter("pneumoqueue_dicom_instances", "Images that were sent by DICOM", ["outcome"])

purged = Counter("pneumoqueue_purged", "What the purge deleted, and rows that it found without files", ["what"])
purges = Counter("pneumoqueue_purges", "Runs of the purge, and whether they got to their end", ["complete"])


def prepared(priority: str, created_at: datetime, ready_at: datetime) -> None:
    """Count an image that is ready for the model."""
    stage_seconds.labels("prepare", priority).observe(_seconds(created_at, ready_at))


def read(images: Iterable[tuple[str, datetime, datetime | None, datetime | None]], now: datetime) -> None:
    """Count images that have their results.

    Args:
        images: the priority of each, and when it was created, ready and claimed.
        now: when the results were saved.
    """
    for priority, created_at, ready_at, claimed_at in images:
        if ready_at and claimed_at:
            stage_seconds.labels("wait", priority).observe(_seconds(ready_at, claimed_at))
            stage_seconds.labels("read", priority).observe(_seconds(claimed_at, now))
        stage_seconds.labels("total", priority).observe(_seconds(created_at, now))


def batch(size: int, seconds: float) -> None:
    """Count a batch that the model has read."""
    batch_size.observe(size)
    model_seconds.observe(seconds)


def purge_done(removed: Mapping[str, int], *, complete: bool) -> None:
    """Count a finished run of the purge."""
    purges.labels("yes" if complete else "no").inc()
    for what, count in removed.items():
        purged.labels(what).inc(count)


def _seconds(start: datetime, end: datetime) -> float:
    """Seconds between two times; never negative, even if the clocks of two hosts differ."""
    return max(0.0, (end - start).total_seconds())
