"""The Celery tasks. Each one calls the code that does the work."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from celery.utils.log import get_task_logger
from django.conf import settings
from django.db import Error
from django.utils import timezone

from ml.errors import BundleError, ImageError
from webapp.agreement import counting
from webapp.config.celery import app
from webapp.dicom.services.uploaded import NotToBeRead
from webapp.refusals import Refused
from webapp.retention import services as retention
from webapp.studies.services import archives, failures, preparation
from worker.deliver import delivering
from worker.infer import capacity, lost, reader
from worker.infer.batching import AdaptiveBatches
from worker.infer.lanes import is_bulk
from worker.process import metrics, presence

logger = get_task_logger(__name__)


@app.task(name="worker.ingest", bind=True, time_limit=settings.TASK_TIME_LIMITS["worker.ingest"])
def ingest(self: Any, image_id: str) -> str:
    """Prepare one uploaded image."""
    # The decoders take 100 MB and three seconds, and most workers never prepare an image.
    from worker.ingest import giving_way, preparing

    if settings.WORKER_ROLE == "bulk":
        giving_way.give_way(next(iter(preparing.models())))
    delivery = self.request.delivery_info or {}  # none where it is called as a function
    image = preparation.start_ingest(UUID(image_id), redelivered=bool(delivery.get("redelivered")))
    if image is None:
        return "nothing to do"
    try:
        if not preparation.finish_ingest(image, preparing.prepare(image)):
            return "overtaken"
        metrics.prepared(image.priority, image.created_at, timezone.now())
        return "ready"
    except NotToBeRead:
        return "not to be read"
    except (ImageError, Refused) as error:
        failures.fail(image.pk, error.code, error.detail)
        return error.code
    except FileNotFoundError:
        failures.fail(image.pk, "file_missing", "The uploaded file is gone from the storage. Please upload it again.")
        return "file_missing"
    except (Error, OSError, BundleError):
        # The image is not at fault: it stays queued, and the reconciler sends it again.
        preparation.refund_attempt(image.pk)
        raise
    except Exception:
        logger.exception("preparing %s failed", image.pk)
        failures.fail(image.pk, "internal_error", "Preparing this image failed; the administrators' log says why.")
        return "internal_error"


@app.task(name="worker.unpack", bind=True, time_limit=settings.TASK_TIME_LIMITS["worker.unpack"])
def unpack(self: Any, archive_id: str) -> str:
    """Create images from the next files of the ZIP whose turn it is, whichever ZIP the message names."""
    return f"{archives.unpack(worker=self.request.hostname or '')} images"


class ReadingTask(AdaptiveBatches):
    """Batches of images. The images of a batch that did not end are released at once."""

    abstract = True
    max_batch = settings.MAX_BATCH
    batch_time_limit = settings.TASK_TIME_LIMITS["worker.infer"]

    def largest_batch(self) -> int:
        return capacity.largest_batch()

    def long_batch(self) -> int:
        return capacity.long_batch()

    def short_batch(self) -> int:
        return capacity.short_batch()

    def on_batch_lost(self, requests: Collection[Any], claim: UUID) -> None:
        presence.child_is_gone()
        metrics.batches_lost.inc()
        lost.give_back(claim)

    def on_batch_failed(self, requests: Collection[Any], claim: UUID) -> None:
        lost.give_back(claim)


def _image_ids(requests: Collection[Any]) -> list[UUID]:
    """The images that a batch's messages name, without duplicates."""
    return list(dict.fromkeys(UUID(request.args[0]) for request in requests))


@app.task(name="worker.infer", base=ReadingTask)
def infer(requests: Collection[Any], claim: UUID) -> int:
    """Read a batch of images."""
    named_ids = _image_ids([request for request in requests if not is_bulk(request)])
    return reader.read_batch(named_ids, claim, bulk=any(map(is_bulk, requests)))


# Sent every few seconds, mostly with nothing to do. It sends no events, so that Flower shows what matters.
@app.task(
    name="worker.deliver",
    bind=True,
    ignore_result=True,
    send_events=False,
    time_limit=settings.TASK_TIME_LIMITS["worker.deliver"],
)
def deliver(self: Any) -> dict[str, int]:
    """Send due deliveries of the outbox."""
    return delivering.deliver_due(self.request.hostname or "")


@app.task(name="worker.make", ignore_result=True, time_limit=settings.TASK_TIME_LIMITS["worker.make"])
def make(revision: str) -> int:
    """Make the DICOM objects of a result."""
    # Imported late, as above: the library takes 100 MB.
    from worker.deliver.dicom import making

    return making.keep(UUID(revision))


@app.task(
    name="worker.count",
    ignore_result=True,
    send_events=False,
    time_limit=settings.TASK_TIME_LIMITS["worker.count"],
)
def count() -> str:
    """Count how often the models agree with readers."""
    return f"{counting.count()} months"


@app.task(name="worker.purge", ignore_result=True, time_limit=settings.TASK_TIME_LIMITS["worker.purge"])
def purge() -> str:
    """Delete expired data and unreferenced files."""
    report = retention.purge()
    metrics.purge_done(report.removed, complete=report.complete)
    return str(report)
