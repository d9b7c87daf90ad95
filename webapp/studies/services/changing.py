"""Change the details of images and studies."""

from functools import partial

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit import services as audit
from webapp.audit.models import Action
from webapp.refusals import Refused
from webapp.studies import dispatch
from webapp.studies.choices import ReadingState, Status
from webapp.studies.files import names
from webapp.studies.models import Image, Reading, Study
from webapp.studies.services import patients, urgency
from webapp.studies.services.judging import judge_again
from webapp.studies.transactions import atomically


@atomically
def change_image(
    identity: Identity,
    image: Image,
    *,
    patient: str | None = None,
    priority: str | None = None,
    stat: bool | None = None,
) -> None:
    """Change an image's patient, priority or urgency. None keeps the present value.

    Args:
        identity: who makes the change.
        image: the image.
        patient: the identifier of a patient of the image's owner, who is created if missing; empty for no patient.
        priority: one of :class:`webapp.studies.choices.Priority`.
        stat: whether the image is read before all others.

    Raises:
        Refused: ``not_waiting`` if the priority is given and the image no longer waits.
    """
    _record(identity, image, patient=patient, priority=priority)
    if patient is not None:
        rows = Image.objects.filter(pk=image.pk)
        rows.update(patient=patients.one_named(image, patient))
        judge_again(rows)
    if priority is not None:
        _prioritise(image, priority)
    if stat is not None:
        urgency.mark_images(identity, [image], stat)


def _prioritise(image: Image, priority: str) -> None:
    """Give a waiting image a new priority, and send its message again to the queue of that priority."""
    changes = {"priority": priority, "dispatches": F("dispatches") + 1, "dispatched_at": timezone.now()}
    # The reading is changed first, because workers lock both in this order too. A held reading becomes ready. If its
    # new queue is held as well, the worker that claims the reading next holds it again.
    held = Reading.objects.set_aside().filter(image=image, shadow=False)
    held.update(state=ReadingState.READY, turn=timezone.now().timestamp())
    primary = Reading.objects.filter(image=image, shadow=False, state=ReadingState.READY)
    if primary.update(**changes):
        Image.objects.filter(pk=image.pk).update(priority=priority)
        transaction.on_commit(partial(dispatch.send_readings, list(primary.select_related("image"))))
        return
    queued = Image.objects.filter(pk=image.pk, status=Status.QUEUED)
    if not queued.update(turn=None, **changes):
        raise Refused("not_waiting", "The priority can only be changed while the image waits.")
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, list(queued)))


@atomically
def change_study(
    identity: Identity,
    study: Study,
    *,
    name: str | None = None,
    patient: str | None = None,
    stat: bool | None = None,
) -> None:
    """Change a study's name, patient or urgency. None keeps the present value.

    The study's images get the patient too, except those that have another patient than the study.

    Args:
        identity: who makes the change.
        study: the study.
        name: its new name.
        patient: the patient's identifier, as for :func:`change_image`.
        stat: whether its images are read before all others.
    """
    _record(identity, study, name=name, patient=patient, stat=stat)
    if name is not None:
        Study.objects.filter(pk=study.pk).update(name=names.clean(name)[:255])
    if patient is not None:
        new_patient = patients.one_named(study, patient)
        study.images.filter(patient=study.patient_id).update(patient=new_patient)
        Study.objects.filter(pk=study.pk).update(patient=new_patient)
        judge_again(study.images.filter(patient=new_patient, age_years=None))
    if stat is not None:
        urgency.mark_study(study, stat)


def _record(identity: Identity, row: Image | Study, **changes: str | bool | None) -> None:
    fields = [name for name, value in changes.items() if value is not None]
    if fields:
        audit.record(identity, Action.CHANGE, row, fields=fields)
