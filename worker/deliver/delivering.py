"""Send due deliveries of the outbox, one after the other."""

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from uuid import UUID

from django.db import Error
from django.utils.module_loading import import_string

from webapp.dicom.services import destinations, peers, searching, uploaded
from webapp.notifications import announcing
from webapp.notifications import services as notifications
from webapp.notifications.models import Event
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery
from webapp.studies.services import completion
from worker.process import metrics

logger = logging.getLogger(__name__)


def study_finished(delivery: Delivery) -> None:
    """Save the study attributes of a finished study's files, and notify people."""
    uploaded.keep_study_uid(UUID(delivery.payload["study"]))
    announcing.announce_study(delivery)


#: The function that delivers each kind. It returns the receiver's answer, if there is one, and raises an error of
#: :mod:`webapp.studies.outbox.services` on failure. It is imported at the first delivery of its kind, because every
#: worker imports this module, and the DICOM libraries take 110 MB and two seconds.
HANDLERS: Mapping[str, str] = {
    completion.STUDY_FINISHED: "worker.deliver.delivering.study_finished",
    completion.IMAGES_FAILED: "webapp.notifications.announcing.announce_images",
    completion.IMAGES_POSITIVE: "webapp.notifications.announcing.announce_images",
    completion.IMAGES_CORRECTED: "webapp.notifications.announcing.announce_corrections",
    Event.ALERT: "webapp.notifications.announcing.announce_alert",
    notifications.WEBHOOK: "webapp.notifications.sending.send",
    announcing.EMAIL: "webapp.notifications.mail.send",
    completion.RESULT_CHANGED: "webapp.dicom.services.revisions.publish",
    destinations.DICOM: "worker.deliver.dicom.sending.send",
    peers.SENDER: "worker.deliver.dicom.senders.send",
    searching.SEARCH: "worker.dicom.searching.search",
    searching.RETRIEVE: "worker.dicom.retrieving.retrieve",
}
#: Seconds after which a task claims no more deliveries: well below its time limit, even if the last receiver is slow.
BUDGET_SECONDS = 20.0


def deliver_due(worker: str) -> dict[str, int]:
    """Send due deliveries, for some seconds.

    Args:
        worker: the worker's name, which administrators see.

    Returns:
        The number of deliveries with each outcome.
    """
    deadline = time.monotonic() + BUDGET_SECONDS
    outcomes: dict[str, int] = {}
    if abandoned := outbox.release_abandoned():
        outcomes["abandoned"] = abandoned
    while time.monotonic() < deadline and (delivery := outbox.claim(worker)):
        outcome = deliver(delivery)
        metrics.deliveries.labels(delivery.kind, outcome).inc()
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


def deliver(delivery: Delivery) -> str:
    """Send a claimed delivery.

    Returns:
        The outcome: ``delivered``, ``failed`` or ``discarded``.
    """
    try:
        handler: Callable[[Delivery], str | None] = import_string(HANDLERS[delivery.kind])
        answer = handler(delivery)
    except outbox.ObsoleteError as reason:
        outbox.discard(delivery, reason)
        return "discarded"
    except outbox.NotDeliveredError as error:
        outbox.failed(delivery, error)
        return "failed"
    except Error:
        # The claim expires, and another attempt is made.
        raise
    except Exception as error:  # noqa: BLE001  (a handler may raise any)
        # Without the error's text, which may quote patient data.
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("delivering %s failed: %s\n%s", delivery.pk, type(error).__name__, where)
        outbox.failed(delivery, outbox.NotDeliveredError(f"internal error ({type(error).__name__}); see the log"))
        return "failed"
    outbox.delivered(delivery, answer or "delivered")
    return "delivered"
