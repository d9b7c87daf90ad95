"""The timeline of an image, compiled from the rows that its steps have left."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

from webapp.audit.models import Action, Entry
from webapp.audit.services import READS
from webapp.dicom.services.destinations import DICOM
from webapp.http.sentences import in_words
from webapp.notifications.announcing import EMAIL
from webapp.notifications.models import WEBHOOK_EVENTS
from webapp.notifications.services import WEBHOOK
from webapp.ops.models import Worker
from webapp.reviews.models import Review
from webapp.studies.choices import ReadingState, Status
from webapp.studies.models import Image, Reading
from webapp.studies.outbox.models import Delivery, State

#: Largest number of audit entries, and of deliveries, that are shown.
MAX_ENTRIES = 100
#: Audit actions that are left out, since the image's own rows show them better.
LEFT_OUT = (*READS, Action.CREATE, Action.REVIEW)
WORDS: dict[str, str] = {
    Action.CANCEL: gettext_noop("Cancelled"),
    Action.RETRY: gettext_noop("Sent to be read again"),
    Action.CHANGE: gettext_noop("Changed"),
}
#: The name of what is sent, by the kind of delivery.
SENT: dict[str, object] = {
    **WEBHOOK_EVENTS, EMAIL: gettext_lazy("E-mail"), WEBHOOK: gettext_lazy("Webhook"), DICOM: "DICOM",
}  # fmt: skip
OUTCOMES = {"delivered": State.DELIVERED.label}


@dataclass(frozen=True)
class Event:
    """Something that happened to an image.

    Attributes:
        by: the worker or person that caused it.
    """

    at: datetime
    what: str
    by: str = ""
    detail: str = ""


def of(image: Image) -> list[Event]:
    """Everything that happened to an image, in order of time."""
    events = [*_image(image), *_readings(image), *_reviews(image), *_deliveries(image), *_audit(image)]
    return sorted(events, key=lambda event: event.at)


def _image(image: Image) -> Iterator[Event]:
    uploader = str(image.uploaded_by or image.owner or _("a guest"))
    detail = f"{image.get_priority_display()}, {filesizeformat(image.size)}"
    if image.archive:
        detail += ", " + _("from the ZIP %(name)s") % {"name": image.archive}
    yield Event(image.created_at, _("Accepted"), uploader, detail)
    if image.ingest_started_at:
        yield Event(image.ingest_started_at, _("Preparation started"), "", _messages(image.dispatches))
    if image.finished_at and image.status == Status.FAILED:
        yield Event(
            image.finished_at, _("Failed"), "", f"{image.error_code}: {in_words(image.error_code, image.error_detail)}"
        )


def _readings(image: Image) -> Iterator[Event]:
    readings = list(image.readings.order_by("shadow", "pk"))
    names = dict(Worker.objects.filter(pk__in=[one.worker for one in readings]).values_list("pk", "name"))
    for one in readings:
        model = _("%(model)s, in the shadow of the active model") % {"model": one.bundle} if one.shadow else one.bundle
        worker = names.get(one.worker, _("a worker that is gone")) if one.worker else ""
        if one.ready_at:
            yield Event(one.ready_at, _("Prepared"), "", _("for %(model)s") % {"model": model})
        if one.claimed_at:
            place = {"batch": one.claim, "attempt": one.attempts}
            detail = _("batch %(batch)s, attempt %(attempt)s") % place + "; " + _messages(one.dispatches)
            yield Event(one.claimed_at, _("Taken into a batch"), worker, detail)
        if one.finished_at:
            yield Event(one.finished_at, *_end(one, worker))


def _end(reading: Reading, worker: str) -> tuple[str, str, str]:
    if reading.state == ReadingState.SUCCEEDED:
        size, seconds = reading.batch_size or 1, reading.seconds or 0.0
        batch = _("%(size)s in the batch, %(seconds)s s") % {"size": size, "seconds": f"{seconds:.2f}"}
        return _("Read"), worker, f"{reading.get_group_display() or reading.label}; {batch}"
    if reading.state == ReadingState.FAILED:
        return (
            _("Reading failed"),
            worker,
            f"{reading.error_code}: {in_words(reading.error_code, reading.error_detail)}",
        )
    return _("Reading ended"), worker, reading.get_state_display()


def _why(failed: Image | Reading) -> str:
    return f"{failed.error_code}: {in_words(failed.error_code, failed.error_detail)}"


def _messages(number: int) -> str:
    return ngettext("%(n)s message sent", "%(n)s messages sent", number) % {"n": number}


def _reviews(image: Image) -> Iterator[Event]:
    for review in Review.objects.filter(image=image).select_related("reviewer"):
        yield Event(
            review.updated_at, _("Reviewed"), str(review.reviewer or _("a former reader")), review.get_verdict_display()
        )


def _deliveries(image: Image) -> Iterator[Event]:
    """Deliveries to other systems about the image or its study."""
    subjects = [pk for pk in (image.pk, image.study_id) if pk]
    for delivery in Delivery.objects.filter(subject__in=subjects).order_by("created_at")[:MAX_ENTRIES]:
        name = str(SENT.get(delivery.kind, delivery.kind))
        suffix = "" if delivery.subject == image.pk else ", " + _("of its study")
        yield Event(delivery.created_at, _("To be sent"), "", name + suffix)
        for attempt in delivery.attempts_made:
            outcome = OUTCOMES.get(attempt["outcome"], attempt["outcome"])
            yield Event(attempt["at"], _("Sending tried"), "", f"{name}: {outcome}")


def _audit(image: Image) -> Iterator[Event]:
    entries = Entry.objects.filter(object_id=str(image.pk)).exclude(action__in=LEFT_OUT).order_by("-created_at", "-id")
    for entry in entries[:MAX_ENTRIES]:
        name = WORDS.get(entry.action)
        label = Action(entry.action).label if entry.action in Action.values else entry.action
        what = _(name) if name else str(label)
        yield Event(
            entry.created_at, what, entry.person or (_("a guest") if entry.guest else _("the service")), entry.details
        )
