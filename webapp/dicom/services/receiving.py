"""Keep images that scanners and PACS send by DICOM.

A sender deletes what was acknowledged. So nothing is, before its file is on the disk and its row is committed. Images
that arrive together are kept together: one transaction costs about as much for twenty images as for one.
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
from webapp.dicom.services import instances, rules
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

#: Of images that come within so long, the first one keeps their study open.
NOTED_EVERY = timedelta(seconds=1)
#: Sends messages as :func:`webapp.studies.dispatch.send` does.
Send = Callable[[str, Sequence[Image]], object]


def receive(arrivals: Sequence[Arrival], send: Send | None = None) -> list[Outcome | Failure]:
    """Keep images, and have them read. Those that have an outcome may be acknowledged when this returns.

    An image belongs to its department's study with its Study Instance UID, which stays open for DICOM_QUIET_SECONDS.

    Args:
        send: tells the workers of images that are kept; without one :func:`webapp.studies.dispatch.send`.

    Returns:
        What became of each, or why it is not kept: ``Refused`` where the department takes no images now, one of its
        limits or the study's is reached, or the study was cancelled.

    Raises:
        OSError: the storage cannot keep them. None of them may be acknowledged then, though some may be there.
        django.db.Error: the same of the database.
    """
    try:
        return list(_received(arrivals, send))
    except (Refused, DataError, IntegrityError) as error:
        if len(arrivals) == 1:
            arrivals[0].drop()
            return [error]
    # One of them is at fault, or not all of them fit into a limit.
    return [outcome for one in arrivals for outcome in receive([one], send)]


def _received(arrivals: Sequence[Arrival], send: Send | None) -> list[Outcome]:
    contents, named = _kept(arrivals)
    outcomes = dict.fromkeys(arrivals, Outcome.REPEATED)
    if new := [one for one in arrivals if (one.instance, one.image.sha256) not in contents]:
        _look_at_rules(new)
        for priority, department in {(one.image.priority, one.peer.department) for one in new}:
            pauses.refuse_if_drained(priority, department)
        with _counted(new):
            with media.batch():
                for one in new:
                    one.store()
            outcomes |= zip(new, _keep(new, named, send), strict=True)
    for one, outcome in outcomes.items():
        if outcome == Outcome.REPEATED:
            one.drop()
        else:
            sender, about = one.peer.ae_title or "DICOMweb", correlation.log_fields(one.image)
            logger.info("image %s came from %s: %s", one.image.pk, sender, outcome, extra=about)
    return list(outcomes.values())


def _kept(arrivals: Sequence[Arrival]) -> tuple[set[tuple[tuple[UUID, str], str]], set[tuple[UUID, str]]]:
    """What is kept already of some instances: their contents' hashes, and which of them an image has the UID of."""
    uids = {one.attributes["instance_uid"] for one in arrivals}
    departments = {one.peer.department.pk for one in arrivals}
    rows = Instance.objects.filter(instance_uid__in=uids, image__department__in=departments).values_list(
        "image__department", "instance_uid", "image__sha256", "image__instance_uid"
    )
    contents, named = set(), set()
    for department, uid, content, name in rows:
        contents.add(((department, uid), content))
        if name == uid:
            named.add((department, uid))
    return contents, named


def _look_at_rules(new: Sequence[Arrival]) -> None:
    """Note which rule counts for each image, and how urgent it is."""
    for department, some in grouped(new, lambda one: one.peer.department).items():
        known = rules.lately(department)
        for one in some:
            one.rule = rules.first_that_fits(known, one.attributes["for_rules"], one.peer.ae_title)
            one.urgent = one.urgent or one.peer.stat or (one.rule is not None and one.rule.stat)
            one.image.priority = Priority.INTERACTIVE if one.urgent else Priority.BULK


def _counted(new: Sequence[Arrival]) -> ExitStack:
    """Count images for the limits of a day, unless the block that keeps them raises."""
    with ExitStack() as counted:
        for (by, department), some in grouped(new, lambda one: (one.by, one.peer.department)).items():
            count = partial(limits.count_upload, by) if by else limits.count_sent_to
            counted.enter_context(count(department, len(some), sum(one.file.size for one in some)))
        return counted.pop_all()


@atomically
def _keep(new: Sequence[Arrival], named: set[tuple[UUID, str]], send: Send | None) -> list[Outcome]:
    """Write the rows of images.

    Args:
        named: the instances of whose UID an image was known.

    Raises:
        IntegrityError: by now one of a UID is known that was not.
    """
    # In the same order everywhere, lest two transactions wait for each other's studies.
    by_study = sorted(grouped(new, lambda one: one.study).items())
    studies = {key: _open_study(some) for key, some in by_study}
    # Whoever sends another version of an image at the same moment has waited for the study.
    contents, named = _kept(new) if named else (set(), set())
    outcomes, added = {}, []
    for one in new:
        if (one.instance, one.image.sha256) in contents:
            outcomes[one] = Outcome.REPEATED
            continue
        outcomes[one] = Outcome.CHANGED if one.instance in named else Outcome.STORED
        one.image.instance_uid = None if one.instance in named else one.attributes["instance_uid"]
        contents.add((one.instance, one.image.sha256))
        named.add(one.instance)
        added.append(one)
    for key, some in grouped(added, lambda one: one.study).items():
        present = limits.content_lately(studies[key])
        limits.check_study(studies[key], len(some), sum(one.image.size for one in some), present)
        for one in some:
            _put_into(studies[key], one.image)
    for _, owned in sorted(grouped(added, lambda one: one.peer.department.pk).items()):
        turns.line_up([one.image for one in owned])
    images = Image.objects.bulk_create(one.image for one in added)
    Instance.objects.bulk_create(instances.of(one.image, one.attributes, one.peer.ae_title) for one in added)
    transaction.on_commit(partial(send or dispatch.send, dispatch.INGEST, images))
    return list(outcomes.values())


def _put_into(study: Study, image: Image) -> None:
    image.study, image.patient_id, image.stat = study, study.patient_id, study.stat
    image.priority = Priority.INTERACTIVE if study.stat else Priority.BULK


def _open_study(some: Sequence[Arrival]) -> Study:
    """The department's study of some images, which is made where there is none: locked, and open for some time.

    Raises:
        Refused: ``study_cancelled``.
    """
    first = some[0]
    department, study_uid = first.study
    weaker = connection.features.has_select_for_no_key_update
    locked = Study.objects.select_for_update(no_key=weaker).filter(department=department, study_uid=study_uid)
    study: Study | None = locked.first()
    if study is None:
        _make_study(first)
        study = locked.get()
    if study.cancelled_at:
        raise Refused("study_cancelled", "This study was cancelled. Please send a new one.")
    if any(one.urgent for one in some) and not study.stat:
        urgency.mark_study(study, stat=True)
        study.stat = True
    open_until = timezone.now() + timedelta(seconds=settings.DICOM_QUIET_SECONDS)
    if study.open_until is None or open_until - study.open_until > NOTED_EVERY:
        study.open_until = open_until
        study.save(update_fields=["open_until"])
    return study


def _make_study(first: Arrival) -> None:
    """Make the study of an image, unless somebody else makes it at this moment."""
    prefix = first.rule.name_prefix if first.rule else ""
    name = f"{prefix} {names.clean(first.attributes['study_description'])}".strip()
    department, study_uid = first.study
    given = {"name": name[:255], "source": Source.DICOM}
    made, is_new = Study.objects.get_or_create(department_id=department, study_uid=study_uid, defaults=given)
    if is_new:
        correlation.add(request_id=first.image.request_id)  # the images beside it may have come by other associations
        record(first.by or Identity(token=first.peer.ae_title), Action.CREATE, made)
