"""An image's way through the service, put together from the rows that its steps have left."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from webapp.audit.models import Action, Entry
from webapp.audit.services import READS
from webapp.ops.models import Worker
from webapp.reviews.models import Review
from webapp.studies.choices import ReadingState, Status
from webapp.studies.models import Image, Reading
from webapp.studies.outbox.models import Delivery

#: Entries of the audit and deliveries that are shown at most.
MOST = 100
#: Actions that the image's own rows tell better.
TOLD = (*READS, Action.CREATE, Action.REVIEW)
WORDS: dict[str, str] = {Action.CANCEL: "Cancelled", Action.RETRY: "Sent to be read again", Action.CHANGE: "Changed"}


@dataclass(frozen=True)
class Event:
    """Something that happened to an image.

    Attributes:
        by: the worker, person or receiver.
    """

    at: datetime
    what: str
    by: str = ""
    detail: str = ""


def of(image: Image) -> list[Event]:
    """Everything that happened to an image, the first first."""
    events = [*_image(image), *_readings(image), *_reviews(image), *_deliveries(image), *_audit(image)]
    return sorted(events, key=lambda event: event.at)


def _image(image: Image) -> Iterator[Event]:
    by = str(image.uploaded_by or image.owner or "a guest")
    detail = f"{image.priority}, {image.size} bytes" + (f", from the ZIP {image.archive}" if image.archive else "")
    yield Event(image.created_at, "Accepted", by, detail)
    if image.ingest_started_at:
        yield Event(image.ingest_started_at, "Preparing begun", "", _messages(image.dispatches))
    if image.finished_at and image.status == Status.FAILED:
        yield Event(image.finished_at, "Failed", "", f"{image.error_code}: {image.error_detail}")


def _readings(image: Image) -> Iterator[Event]:
    readings = list(image.readings.order_by("shadow", "pk"))
    names = dict(Worker.objects.filter(pk__in=[one.worker for one in readings]).values_list("pk", "name"))
    for one in readings:
        model = f"{one.bundle}, beside the model that counts" if one.shadow else one.bundle
        worker = names.get(one.worker, "a worker that is gone") if one.worker else ""
        if one.ready_at:
            yield Event(one.ready_at, "Prepared", "", f"for {model}")
        if one.claimed_at:
            detail = f"batch {one.claim}, attempt {one.attempts}; {_messages(one.dispatches)}"
            yield Event(one.claimed_at, "Taken into a batch", worker, detail)
        if one.finished_at:
            yield Event(one.finished_at, *_end(one, worker))


def _end(reading: Reading, worker: str) -> tuple[str, str, str]:
    if reading.state == ReadingState.SUCCEEDED:
        size, seconds = reading.batch_size or 1, reading.seconds or 0.0
        return "Read", worker, f"{reading.get_group_display() or reading.label}; {size} in the batch, {seconds:.2f} s"
    if reading.state == ReadingState.FAILED:
        return "Reading failed", worker, f"{reading.error_code}: {reading.error_detail}"
    return "Reading ended", worker, str(reading.state)


def _messages(number: int) -> str:
    return f"{number} message{'s' * (number != 1)} sent"


def _reviews(image: Image) -> Iterator[Event]:
    for review in Review.objects.filter(image=image).select_related("reviewer"):
        yield Event(
            review.updated_at, "Reviewed", str(review.reviewer or "a former reader"), review.get_verdict_display()
        )


def _deliveries(image: Image) -> Iterator[Event]:
    """What was sent to other systems about the image, or about its study."""
    subjects = [pk for pk in (image.pk, image.study_id) if pk]
    for delivery in Delivery.objects.filter(subject__in=subjects).order_by("created_at")[:MOST]:
        about = "" if delivery.subject == image.pk else "of its study"
        yield Event(delivery.created_at, "To be sent", delivery.kind, about)
        for attempt in delivery.attempts_made:
            yield Event(attempt["at"], "Sending tried", delivery.kind, attempt["outcome"])


def _audit(image: Image) -> Iterator[Event]:
    entries = Entry.objects.filter(object_id=str(image.pk)).exclude(action__in=TOLD).order_by("-created_at", "-id")
    for entry in entries[:MOST]:
        what = WORDS.get(entry.action) or entry.action.replace("_", " ").capitalize()
        yield Event(
            entry.created_at, what, entry.person or ("a guest" if entry.guest else "the service"), entry.details
        )
