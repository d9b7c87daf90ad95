"""Celery's tasks: each hands over to the code that does the work."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from celery.utils.log import get_task_logger
from django.conf import settings
from django.db import Error
from django.utils import timezone

from ml.errors import BundleError, ImageError
from webapp.config.celery import app
from webapp.refusals import Refused
from webapp.retention import services as retention
from webapp.studies.outbox.services import TASK_SECONDS
from webapp.studies.services import archives, failures, preparation, reading, reconciliation
from worker.deliver import delivering
from worker.infer import reader
from worker.infer.batching import AdaptiveBatches
from worker.ingest import preparing
from worker.process import metrics, presence

logger = get_task_logger(__name__)


@app.task(name="worker.ingest", time_limit=120)
def ingest(image_id: str) -> str:
    """Prepare one uploaded image."""
    image = preparation.start_ingest(UUID(image_id))
    if image is None:
        return "nothing to do"
    try:
        if not preparation.finish_ingest(image, preparing.prepare(image)):
            return "overtaken"
        metrics.prepared(image.priority, image.created_at, timezone.now())
        return "ready"
    except ImageError as error:
        failures.fail(image.pk, error.code, error.detail)
        return error.code
    except FileNotFoundError:
        failures.fail(image.pk, "file_missing", "The uploaded file is gone from the storage. Please upload it again.")
        return "file_missing"
    except (Error, OSError, BundleError):
        # Not the image's fault: it stays queued, and the reconciler sends it again.
        preparation.refund_attempt(image.pk)
        raise
    except Exception:
        logger.exception("preparing %s failed", image.pk)
        failures.fail(image.pk, "internal_error", "Preparing this image failed; the administrators' log says why.")
        return "internal_error"


@app.task(name="worker.unpack", time_limit=1800)
def unpack(archive_id: str) -> str:
    """Make images of a ZIP."""
    try:
        return f"{archives.unpack(UUID(archive_id))} images"
    except Refused as error:
        archives.fail_archive(UUID(archive_id), error.code, error.detail)
        return error.code
    except FileNotFoundError:
        archives.fail_archive(
            UUID(archive_id), "file_missing", "The ZIP is gone from the storage. Please upload it again."
        )
        return "file_missing"
    except (Error, OSError):
        # Not the ZIP's fault: it stays queued, and the reconciler sends it again.
        archives.refund_archive_attempt(UUID(archive_id))
        raise


class ReadingTask(AdaptiveBatches):
    """Batches of images; a lost batch is given back at once."""

    abstract = True
    max_batch = settings.MAX_BATCH

    def on_batch_lost(self, requests: Collection[Any]) -> None:
        presence.child_is_gone()
        metrics.batches_lost.inc()
        try:
            reading.release([UUID(request.args[0]) for request in requests])
        except Error:
            logger.exception("could not give a lost batch back; the reconciler will")
        finally:
            presence.disconnect()


@app.task(name="worker.infer", base=ReadingTask)
def infer(requests: Collection[Any]) -> str:
    """Read a batch of images."""
    ids = list(dict.fromkeys(UUID(request.args[0]) for request in requests))
    return f"{reader.read_batch(ids)} of a batch of {len(ids)}"


@app.task(name="worker.reconcile", ignore_result=True, time_limit=60)
def reconcile() -> dict[str, Any]:
    """Find what was lost on its way and send it again."""
    done = reconciliation.reconcile()
    metrics.found(done)
    if any(done.values()):
        logger.warning("reconciled: %s", done)
    return done


@app.task(name="worker.deliver", bind=True, ignore_result=True, time_limit=TASK_SECONDS)
def deliver(self: Any) -> dict[str, int]:
    """Send what is due in the outbox."""
    return delivering.deliver_due(self.request.hostname or "")


@app.task(name="worker.purge", ignore_result=True, time_limit=2 * settings.PURGE_SECONDS + 60)
def purge() -> str:
    """Delete what has expired, and what nobody refers to."""
    report = retention.purge()
    metrics.purge_done(report.removed, complete=report.complete)
    return str(report)
