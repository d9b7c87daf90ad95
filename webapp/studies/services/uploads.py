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

from webapp.accounts.identity import Identity, require_current
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.observability import correlation
from webapp.storage.media import media
from webapp.studies import dispatch
from webapp.studies.choices import Priority, Status
from webapp.studies.files import names, signatures
from webapp.studies.models import Archive, IdempotencyKey, Image, Patient, Study
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
    """Store one uploaded image and queue it.

    Args:
        patient: the patient's identifier. For this and the next three see
            :class:`webapp.studies.particulars.Particulars`.
        stat: whether the image is read before all others.
        department: the department that will own the image, instead of the identity.
        key: the request's key; see :mod:`webapp.studies.services.idempotency`.

    Raises:
        Refused: the file's first bytes show that it cannot be read, the day's limit is reached, or the queue or the
            department is draining.
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
    image.patient = patients.one_named(image, patient)
    turns.line_up([image])
    image.save(force_insert=True)
    require_current(identity)
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
    """Store many files, including ZIPs, as one study and queue them.

    A file that is not an image becomes a failed image, which is listed with the reason. The other files are read. A
    manifest (:mod:`webapp.studies.files.manifests`) describes the files.

    Args:
        patient: the identifier of the images' patient, unless a manifest gives another.
        age: the patient's age for all images, unless a manifest gives another.
        view: the view of all images, unless a manifest gives another.
        stat: whether the images are read before all others.
        more_to_come: whether the study stays open for more files. Then it may have none yet.
        department: the department that will own the study, instead of the identity.
        key: the request's key; see :mod:`webapp.studies.services.idempotency`.

    Raises:
        Refused: a ZIP cannot be read, or the study exceeds a limit.
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
    """Store more files of a study and queue them.

    A manifest among the files describes only these files. A manifest that is sent alone describes all images of the
    study.

    Raises:
        Refused: ``study_cancelled``, ``study_gone``, or the reasons of :func:`create_study`.
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
    """The unsaved rows of a study's stored files, and their details."""

    about: descriptions.Descriptions
    count: int  # of images, including those in ZIPs
    size: int  # of all of them in bytes, unpacked
    images: list[Image] = field(default_factory=list)
    archives: list[Archive] = field(default_factory=list)
    #: The identifier of each image's patient, by image; empty if it was not given.
    patients: dict[UUID, str] = field(default_factory=dict)


@contextmanager
def _stored(
    identity: Identity, study: Study, files: Sequence[File], uploaded_by: User | None, common: Particulars
) -> Iterator[_Stored]:
    """Store the files of a study within the limits. The block of the context manager saves their rows."""
    pauses.refuse_if_drained(Priority.BULK, study.department)
    contents = look_into(files)
    sent, study.skipped = contents.sent, contents.skipped
    about = descriptions.read(contents, common)
    stored = _Stored(about, count=sum(one.count for one in sent), size=sum(one.size for one in sent))
    limits.check_study(study, stored.count, stored.size)
    with limits.count_upload(identity, study.department, stored.count, stored.size):
        with media.batch():  # gives files their names when it ends
            for number, one in enumerate(sent):
                if one.entries is None:
                    image = storing.study_image(study, one.file, str(one.file.name), one.refused, uploaded_by)
                    descriptions.describe(image, stored.about.for_image(number))
                    stored.patients[image.pk] = stored.about.for_image(number).patient
                    stored.images.append(image)
                else:
                    archive = storing.archive(study, one.file, one.count, one.size, uploaded_by)
                    archive.particulars = stored.about.for_archive(number, [entry.index for entry in one.entries])
                    stored.archives.append(archive)
        with storing.removed_on_refusal([*stored.images, *stored.archives]):
            yield stored


@atomically
def _keep_study(by: Identity, study: Study, stored: _Stored, patient: str, key: IdempotencyKey | None) -> None:
    study.patient = patients.one_named(study, patient)
    people = patients.named(study, stored.about.people())
    study.manifest = stored.about.report_with(people)
    study.save(force_insert=True)
    _keep_files(study, stored, people, key)
    require_current(by)
    record(by, Action.CREATE, study, images=len(stored.images), archives=len(stored.archives))


@atomically
def _keep_more(by: Identity, study: Study, stored: _Stored, key: IdempotencyKey | None) -> None:
    current = opening.prolonged(study)
    # Again, now that the study is locked: another request may have added files since the first check.
    limits.check_study(study, stored.count, stored.size)
    people = patients.named(study, stored.about.people())
    if stored.about.report:
        study.manifest = descriptions.joined(current.manifest, stored.about.report_with(people))
        study.save(update_fields=["manifest"])
    _keep_files(study, stored, people, key)
    record(by, Action.CHANGE, study, images=len(stored.images), archives=len(stored.archives))


def _keep_files(study: Study, stored: _Stored, people: dict[str, Patient], key: IdempotencyKey | None) -> None:
    for image in stored.images:
        image.belong_with(study)
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
    """Return the fields for the owner of an upload, and for its uploader if a department owns it."""
    if department:
        return {"department": department, "uploaded_by": identity.user}
    return {"owner": identity.user, "guest": identity.guest}
