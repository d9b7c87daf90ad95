"""Save images that scanners and PACS send by DICOM.

A sender deletes an image that was acknowledged. So no image is acknowledged before its file is on the disk and its row
is committed. Images that arrive together are saved together: a transaction costs about as much for twenty images as for
one.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dicom.models import Instance
from webapp.dicom.services import instances, rules, versions
from webapp.dicom.services.arrivals import Arrival, Failure, Outcome, grouped
from webapp.observability import correlation
from webapp.refusals import Refused
from webapp.storage.media import media
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Source
from webapp.studies.files import names
from webapp.studies.models import Image, Study
from webapp.studies.services import limits, pauses, turns, urgency
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: The time until which a study stays open is extended at most once in this time.
NOTED_EVERY = timedelta(seconds=1)
#: Sends messages as :func:`webapp.studies.dispatch.send` does.
Send = Callable[[str, Sequence[Image]], object]


def receive(arrivals: Sequence[Arrival], send: Send | None = None) -> list[Outcome | Failure]:
    """Save images, and send them to the workers. Images with an outcome may be acknowledged when this returns.

    An image belongs to its department's study with its Study Instance UID, which stays open for DICOM_QUIET_SECONDS.

    Args:
        send: sends messages for saved images to the workers; :func:`webapp.studies.dispatch.send` if it is None.

    Returns:
        The outcome of each, or the reason why it is not saved: ``Refused`` if the department accepts no images now, a
        limit of the department or the study is reached, or the study was cancelled.

    Raises:
        OSError: the storage cannot store the files. Then no image may be acknowledged, though some may be saved.
        django.db.Error: the database cannot save the rows; likewise.
    """
    try:
        return list(_received(arrivals, send))
    except (Refused, DataError, IntegrityError) as error:
        if len(arrivals) == 1:
            arrivals[0].drop()
            return [error]
    # One image is at fault, or not all of them fit into a limit, so each is saved separately.
    return [outcome for one in arrivals for outcome in receive([one], send)]


def _received(arrivals: Sequence[Arrival], send: Send | None) -> list[Outcome]:
    before = versions.stored_of(arrivals)
    outcomes = dict.fromkeys(arrivals, Outcome.REPEATED)
    if new := [one for one in arrivals if not versions.has(before.get(one.instance, ()), one)]:
        lost = versions.lost_of(before, new)
        _apply_rules(new)
        for priority, department in {(one.image.priority, one.peer.department) for one in new}:
            pauses.refuse_if_drained(priority, department)
        with _counted(new):
            with media.batch():
                for one in new:
                    one.store()
            outcomes |= zip(new, _keep(new, before, lost, send), strict=True)
    for one, outcome in outcomes.items():
        if outcome == Outcome.REPEATED:
            one.drop()
        else:
            sender, log_fields = one.peer.ae_title or "DICOMweb", correlation.log_fields(one.image)
            logger.info("image %s came from %s: %s", one.image.pk, sender, outcome, extra=log_fields)
    return list(outcomes.values())


def _apply_rules(new: Sequence[Arrival]) -> None:
    """Find the rule that applies to each image, and set its priority."""
    for department, group in grouped(new, lambda one: one.peer.department).items():
        department_rules = rules.lately(department)
        for one in group:
            one.rule = rules.first_that_fits(department_rules, one.attributes["for_rules"], one.peer.ae_title)
            one.urgent = one.urgent or one.peer.stat or (one.rule is not None and one.rule.stat)
            one.image.priority = Priority.INTERACTIVE if one.urgent else Priority.BULK


def _counted(new: Sequence[Arrival]) -> ExitStack:
    """Count images towards the daily limits, unless the block that saves them raises an error."""
    with ExitStack() as counted:
        for (identity, department), group in grouped(new, lambda one: (one.identity, one.peer.department)).items():
            count = partial(limits.count_upload, identity) if identity else limits.count_sent_to
            counted.enter_context(count(department, len(group), sum(one.file.size for one in group)))
        return counted.pop_all()


@atomically
def _keep(new: Sequence[Arrival], before: versions.Stored, lost: Sequence[UUID], send: Send | None) -> list[Outcome]:
    """Save the rows of images.

    Args:
        before: the stored versions of their instances. None of the images is one of these.
        lost: images that have the UID of one of their instances, but no file any more. They give up the UID, so that
            DICOMweb finds the new image by it.

    Raises:
        IntegrityError: another transaction has saved an image with one of the UIDs since then.
    """
    if lost:
        Image.objects.filter(pk__in=lost).update(instance_uid=None)
    # Always in the same order, so that two transactions do not deadlock on their studies.
    by_study = sorted(grouped(new, lambda one: one.study).items())
    studies = {key: _open_study(group) for key, group in by_study}
    # Query again: another version of an image may have been saved while this waited for the study's lock.
    now = versions.stored_of(new) if before else {}
    known = {instance for instance, found in now.items() if any(version.named for version in found)}
    compared = {version.image for found in before.values() for version in found}
    contents = {(key, one.sha256) for key, found in now.items() for one in found if one.image not in compared}
    outcomes, added = {}, []
    for one in new:
        if (one.instance, one.image.sha256) in contents:
            outcomes[one] = Outcome.REPEATED
            continue
        outcomes[one] = Outcome.CHANGED if one.instance in known else Outcome.STORED
        one.image.instance_uid = None if one.instance in known else one.attributes["instance_uid"]
        contents.add((one.instance, one.image.sha256))
        known.add(one.instance)
        added.append(one)
    for key, group in grouped(added, lambda one: one.study).items():
        present = limits.content_lately(studies[key])
        limits.check_study(studies[key], len(group), sum(one.image.size for one in group), present)
        for one in group:
            _assign(studies[key], one.image)
    for _, owned in sorted(grouped(added, lambda one: one.peer.department.pk).items()):
        turns.line_up([one.image for one in owned])
    images = Image.objects.bulk_create(one.image for one in added)
    Instance.objects.bulk_create(instances.build(one.image, one.attributes, one.peer.ae_title) for one in added)
    transaction.on_commit(partial(send or dispatch.send, dispatch.INGEST, images))
    return list(outcomes.values())


def _assign(study: Study, image: Image) -> None:
    image.study, image.patient_id, image.stat = study, study.patient_id, study.stat
    image.priority = Priority.INTERACTIVE if study.stat else Priority.BULK


def _open_study(group: Sequence[Arrival]) -> Study:
    """Get or create the study of some images, lock it, and keep it open for some time.

    Raises:
        Refused: ``study_cancelled``.
    """
    first = group[0]
    department, study_uid = first.study
    weaker = connection.features.has_select_for_no_key_update
    locked = Study.objects.select_for_update(no_key=weaker).filter(department=department, study_uid=study_uid)
    study: Study | None = locked.first()
    if study is None:
        _make_study(first)
        study = locked.get()
    if study.cancelled_at:
        raise Refused("study_cancelled", "This study was cancelled. Please send a new one.")
    if any(one.urgent for one in group) and not study.stat:
        urgency.mark_study(study, stat=True)
        study.stat = True
    open_until = timezone.now() + timedelta(seconds=settings.DICOM_QUIET_SECONDS)
    if study.open_until is None or open_until - study.open_until > NOTED_EVERY:
        study.open_until = open_until
        study.save(update_fields=["open_until"])
    return study


def _make_study(first: Arrival) -> None:
    """Create the study of an image, unless another transaction creates it at the same moment."""
    prefix = first.rule.name_prefix if first.rule else ""
    name = f"{prefix} {names.clean(first.attributes['study_description'])}".strip()
    department, study_uid = first.study
    defaults = {"name": name[:255], "source": Source.DICOM}
    study, is_new = Study.objects.get_or_create(department_id=department, study_uid=study_uid, defaults=defaults)
    if is_new:
        # Other images of this transaction may belong to other associations.
        correlation.add(request_id=first.image.request_id)
        record(first.identity or Identity(token=first.peer.ae_title), Action.CREATE, study)
