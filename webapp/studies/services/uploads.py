"""Accept uploads: store the bytes, then the rows, then send the messages."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.files import File
from django.db import transaction

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.observability import correlation
from webapp.storage.media import media
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Status
from webapp.studies.files import names, signatures
from webapp.studies.models import Archive, IdempotencyKey, Image, Patient, Study
from webapp.studies.ownership import Sent
from webapp.studies.particulars import Particulars
from webapp.studies.services import (
    describing,
    descriptions,
    idempotency,
    limits,
    opening,
    patients,
    pauses,
    storing,
    turns,
    upload_report,
)
from webapp.studies.services.completion import study_progressed
from webapp.studies.services.contents import lone_manifest, look_into
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def create_image(
    identity: Identity,
    file: File,
    *,
    filename: str,
    patient: str = "",
    age: float | None = None,
    view: str = "",
    comment: str = "",
    priority: str = Priority.INTERACTIVE,
    stat: bool = False,
    department: Department | None = None,
    key: IdempotencyKey | None = None,
) -> Image:
    """Store one uploaded image and have it read.

    Args:
        patient: their identifier; this and what follows as in :class:`webapp.studies.particulars.Particulars`.
        stat: whether it is to be read before all others.
        department: the one that will own it, in place of the identity.
        key: of the request; see :mod:`webapp.studies.services.idempotency`.

    Raises:
        Refused: where the file can be refused from its first bytes, the day's limit is reached, or the queue or the
            department is drained.
    """
    priority = Priority.INTERACTIVE if stat else priority
    pauses.refuse_if_drained(priority, department)
    signatures.check_image(file)
    image = Image(stat=stat, **_sender(identity, department), **storing.fields(filename, file.size, priority))
    descriptions.describe(image, Particulars(age=age, view=view, comment=names.clean(comment)[:500]))
    with limits.count_upload(identity, department, 1, file.size), storing.removed_on_refusal([image]):
        storing.store(image, file)
        _keep_image(identity, image, patient, key)
    logger.info("image %s accepted, %s", image.pk, priority, extra=correlation.log_fields(image))
    return image


@atomically
def _keep_image(identity: Identity, image: Image, patient: str, key: IdempotencyKey | None) -> None:
    image.patient = patient_named(image, patient)
    turns.line_up([image])
    image.save(force_insert=True)
    idempotency.keep(key, image)
    record(identity, Action.CREATE, image)
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, [image]))


def create_study(
    identity: Identity,
    files: Sequence[File],
    *,
    name: str = "",
    patient: str = "",
    age: float | None = None,
    view: str = "",
    stat: bool = False,
    more_to_come: bool = False,
    department: Department | None = None,
    key: IdempotencyKey | None = None,
) -> Study:
    """Store many files, ZIPs among them, as one study and have them read.

    A file that is no image becomes a failed image: it is listed with its reason, and the others go on. A manifest
    (:mod:`webapp.studies.files.manifests`) says of the others whose they are.

    Args:
        patient: the identifier of the images' patient, unless a manifest names another.
        age: and view apply to all images, unless a manifest gives others.
        stat: whether they are to be read before all others.
        more_to_come: whether it stays open for more files; then there need be none yet.
        department: the one that will own it, in place of the identity.
        key: of the request; see :mod:`webapp.studies.services.idempotency`.

    Raises:
        Refused: where these are ZIPs of which none can be read, or the study breaks a limit.
    """
    study = Study(name=names.clean(name)[:255], stat=stat, **_sender(identity, department))
    study.open_until = opening.new_end() if more_to_come else None
    common = Particulars(age=age, view=view)
    with _stored(identity, study, files, study.uploaded_by, common) as stored:
        _keep_study(identity, study, stored, patient, key)
    logger.info("study %s accepted: %d images, %d archives", study.pk, len(stored.images), len(stored.archives))
    return study


def add_to_study(
    identity: Identity,
    study: Study,
    files: Sequence[File],
    *,
    age: float | None = None,
    view: str = "",
    key: IdempotencyKey | None = None,
) -> Study:
    """Store more files of a study and have them read. A manifest among them is about them only; one that comes by
    itself is about all images of the study.

    Raises:
        Refused: ``study_cancelled``, or as :func:`create_study` does.
    """
    if manifest := lone_manifest(files):
        return describing.describe_study(identity, study, manifest, key=key)
    sender = identity.user if study.department_id else None
    with _stored(identity, study, files, sender, Particulars(age=age, view=view)) as stored:
        _keep_more(identity, study, stored, key)
    logger.info("study %s: %d images and %d archives added", study.pk, len(stored.images), len(stored.archives))
    return study


@dataclass
class _Stored:
    """The unsaved rows of a study whose files are stored, and their descriptions."""

    about: descriptions.Descriptions
    images: list[Image] = field(default_factory=list)
    archives: list[Archive] = field(default_factory=list)
    #: The patient's identifier of each image that has one.
    patients: dict[UUID, str] = field(default_factory=dict)


@contextmanager
def _stored(
    identity: Identity, study: Study, files: Sequence[File], uploaded_by: User | None, common: Particulars
) -> Iterator[_Stored]:
    """Store the files of a study within the limits. The block saves their rows."""
    pauses.refuse_if_drained(Priority.BULK, study.department)
    contents = look_into(files)
    sent, study.skipped = contents.sent, contents.skipped
    stored = _Stored(descriptions.read(contents, common))
    size = sum(one.size for one in sent)
    files_sent = sum(one.count for one in sent)
    limits.check_study(study, files_sent, size)
    with limits.count_upload(identity, study.department, files_sent, size):
        # Files have their names when the batch ends, which is before their rows are saved.
        with media.batch():
            for number, one in enumerate(sent):
                if one.entries is None:
                    image = storing.study_image(study, one.file, str(one.file.name), one.refused, uploaded_by)
                    descriptions.describe(image, stored.about.for_image(number))
                    stored.patients[image.pk] = stored.about.for_image(number).patient
                    stored.images.append(image)
                else:
                    archive = storing.archive(study, one.file, len(one.entries), uploaded_by)
                    archive.particulars = stored.about.for_archive(number, [entry.index for entry in one.entries])
                    stored.archives.append(archive)
        with storing.removed_on_refusal([*stored.images, *stored.archives]):
            yield stored


@atomically
def _keep_study(by: Identity, study: Study, stored: _Stored, patient: str, key: IdempotencyKey | None) -> None:
    study.patient = patient_named(study, patient)
    people = patients.named(study, stored.about.people())
    study.manifest = stored.about.report_with(people)
    study.save(force_insert=True)
    _keep_files(study, stored, people, key)
    record(by, Action.CREATE, study, images=len(stored.images), archives=len(stored.archives))


@atomically
def _keep_more(by: Identity, study: Study, stored: _Stored, key: IdempotencyKey | None) -> None:
    current = opening.prolonged(study)
    people = patients.named(study, stored.about.people())
    if stored.about.report:
        study.manifest = descriptions.joined(current.manifest, stored.about.report_with(people))
        study.save(update_fields=["manifest"])
    _keep_files(study, stored, people, key)
    record(by, Action.CHANGE, study, images=len(stored.images), archives=len(stored.archives))


def _keep_files(study: Study, stored: _Stored, people: dict[str, Patient], key: IdempotencyKey | None) -> None:
    for image in stored.images:
        image.patient = people.get(stored.patients[image.pk], study.patient)
    turns.line_up(stored.images)
    turns.line_up_archives(study, stored.archives)
    Archive.objects.bulk_create(stored.archives)
    Image.objects.bulk_create(stored.images)
    idempotency.keep(key, study)
    upload_report.add_to(study, stored.images)
    queued = [image for image in stored.images if image.status == Status.QUEUED]
    if not queued:
        study_progressed([study.pk])
    transaction.on_commit(partial(dispatch.send, dispatch.INGEST, queued))
    for archive in stored.archives:
        transaction.on_commit(partial(dispatch.send_unpack, archive.pk))


def _sender(identity: Identity, department: Department | None) -> dict[str, Any]:
    """The owner of an upload, and its uploader if a department owns it."""
    if department:
        return {"department": department, "uploaded_by": identity.user}
    return {"owner": identity.user, "guest": identity.guest}


def patient_named(sent: Sent, identifier: str) -> Patient | None:
    """The owner's patient with that identifier, created if missing."""
    identifier = patients.identifier_of(identifier)
    return patients.named(sent, {identifier: ""})[identifier] if identifier else None
