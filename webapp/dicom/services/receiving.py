"""Keep images that scanners and PACS send by DICOM.

A sender deletes what was acknowledged. So nothing is, before its file is on the disk and its row is committed.
"""

import logging
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dicom.models import Instance, Peer, Rule
from webapp.dicom.services import instances, rules
from webapp.observability import correlation
from webapp.refusals import Refused
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Source
from webapp.studies.files import hashes, names
from webapp.studies.models import Image, Study
from webapp.studies.services import limits, pauses, storing, turns, urgency
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of an image that was sent."""

    STORED = "stored"
    #: The same bytes were kept before; they are not stored twice.
    REPEATED = "repeated"
    #: Another content was kept under the same SOP Instance UID. Both stay.
    CHANGED = "changed"


def receive(
    peer: Peer, file: File, attributes: dict[str, Any], *, urgent: bool = False, by: Identity | None = None
) -> Outcome:
    """Keep an image, and have it read. It may be acknowledged when this returns.

    It belongs to its department's study with its Study Instance UID, which stays open for DICOM_QUIET_SECONDS.

    Args:
        peer: who sends it.
        file: the data set as it came, with file meta information before it.
        attributes: as :func:`ml.pictures.dicom.attributes.attributes_of` gives them.
        urgent: whether it is to be read before all others.
        by: who sends it over the web, with limits of their own.

    Raises:
        Refused: the department takes no images now, one of its limits or the study's is reached, or the study was
            cancelled.
        OSError: the storage cannot keep it.
        django.db.Error: the database cannot.
    """
    rule = rules.decide(peer.department, attributes["for_rules"], peer.ae_title)
    urgent = urgent or peer.stat or (rule is not None and rule.stat)
    priority = Priority.INTERACTIVE if urgent else Priority.BULK
    image = Image(
        department=peer.department,
        source=Source.DICOM,
        uploaded_by=by.user if by else None,
        sha256=hashes.content_hash(file),
        **storing.fields(f"{attributes['instance_uid']}.dcm", file.size, priority),
    )
    if _is_kept(image, attributes):
        return Outcome.REPEATED
    pauses.refuse_if_drained(priority, peer.department)
    count = partial(limits.count_upload, by) if by else limits.count_sent_to
    with count(peer.department, 1, file.size), storing.removed_on_refusal([image]):
        storing.store(image, file)
        outcome = _keep(image, peer, attributes, urgent, rule, by or Identity(token=peer.ae_title))
    if outcome == Outcome.REPEATED:  # the other one was sent at the same time
        default_storage.delete(str(image.file.name))
        return outcome
    logger.info(
        "image %s came from %s: %s", image.pk, peer.ae_title or "DICOMweb", outcome, extra=correlation.log_fields(image)
    )
    return outcome


def _is_kept(image: Image, attributes: dict[str, Any]) -> bool:
    same = Instance.objects.filter(instance_uid=attributes["instance_uid"], image__sha256=image.sha256)
    return same.filter(image__department=image.department).exists()


@atomically
def _keep(
    image: Image, peer: Peer, attributes: dict[str, Any], urgent: bool, rule: Rule | None, by: Identity
) -> Outcome:
    study = _open_study(peer, attributes, urgent, rule.name_prefix if rule else "", by)
    # Whoever sends the same image at the same moment waits for the study.
    if _is_kept(image, attributes):
        return Outcome.REPEATED
    limits.check_study(study, 1, image.size)
    changed = Image.objects.filter(department=peer.department, instance_uid=attributes["instance_uid"]).exists()
    image.instance_uid = None if changed else attributes["instance_uid"]
    image.study, image.patient, image.stat = study, study.patient, study.stat
    image.priority = Priority.INTERACTIVE if study.stat else Priority.BULK
    turns.line_up([image])
    image.save(force_insert=True)
    instances.keep(image, attributes, peer.ae_title)
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, [image]))
    return Outcome.CHANGED if changed else Outcome.STORED


def _open_study(peer: Peer, attributes: dict[str, Any], urgent: bool, prefix: str, by: Identity) -> Study:
    """The department's study of an image, which is made where there is none: locked, and open for some time.

    Raises:
        Refused: ``study_cancelled``.
    """
    name = f"{prefix} {names.clean(attributes['study_description'])}".strip()
    given = {"name": name[:255], "source": Source.DICOM}
    made, is_new = Study.objects.get_or_create(
        department=peer.department, study_uid=attributes["study_uid"], defaults=given
    )
    if is_new:
        record(by, Action.CREATE, made)
    weaker = connection.features.has_select_for_no_key_update
    study: Study = Study.objects.select_for_update(no_key=weaker).get(pk=made.pk)
    if study.cancelled_at:
        raise Refused("study_cancelled", "This study was cancelled. Please send a new one.")
    if urgent and not study.stat:
        urgency.mark_study(study, stat=True)
        study.stat = True
    study.open_until = timezone.now() + timedelta(seconds=settings.DICOM_QUIET_SECONDS)
    study.save(update_fields=["open_until"])
    return study
