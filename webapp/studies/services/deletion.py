"""Delete images, studies, patients and guests, with all rows and files that belong to them.

Rows are deleted first, one chunk per transaction, and their files after its commit. The orphan sweep
(:mod:`webapp.retention.sweep`) deletes the files that cannot be deleted here. Rows of other apps that refer to an
image, such as a radiologist's review, are deleted with it and counted.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import CASCADE, Model, Q, QuerySet
from django.dispatch import Signal

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record, record_each
from webapp.storage.media import media
from webapp.studies import notices
from webapp.studies.choices import WAITING
from webapp.studies.models import Archive, Image, Patient, Reading, Study
from webapp.studies.outbox import services as outbox
from webapp.studies.ownership import Owned
from webapp.studies.services import cancellation
from webapp.studies.services.completion import study_progressed
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: Images deleted in one transaction: with a million images, SQLite's write lock is held for less than 100 ms.
CHUNK = 10
ATTEMPTS = 5
#: Sent with the ids of images, or of a study, in the transaction that deletes them, before their rows are deleted.
deleting = Signal()


@dataclass
class Deleted:
    """A report of a deletion.

    Attributes:
        rows: the number of deleted rows by model, such as ``{"studies.Image": 3, "reviews.Review": 1}``.
        files: the number of deleted files.
        files_left: the number of files that could not be deleted. The orphan sweep deletes them later.
    """

    rows: Counter[str] = field(default_factory=Counter)
    files: int = 0
    files_left: int = 0

    def as_dict(self) -> dict[str, int]:
        counts = {**self.rows, "files": self.files, "files_left": self.files_left}
        return {name: number for name, number in counts.items() if number}


def count(rows: Sequence[Owned]) -> dict[type[Model], int]:
    """Return how many rows of each model would be deleted with some images, studies or patients, all of one kind."""
    ids = [row.pk for row in rows]
    querysets: dict[Any, QuerySet[Any]]
    if isinstance(rows[0], Image):
        querysets = {Image: Image.objects.filter(pk__in=ids)}
    elif isinstance(rows[0], Study):
        querysets = {Study: Study.objects.filter(pk__in=ids), Image: Image.objects.filter(study__in=ids)}
    else:
        studies = Study.objects.filter(patient__in=ids)
        # By ids: with a subquery in this condition PostgreSQL would read all images.
        images = Image.objects.filter(Q(patient__in=ids) | Q(study__in=list(studies.values_list("pk", flat=True))))
        querysets = {Patient: Patient.objects.filter(pk__in=ids), Study: studies, Image: images}
    for related in Image._meta.related_objects:
        model: Any = related.related_model
        if related.on_delete is CASCADE:
            querysets[model] = model._base_manager.filter(**{f"{related.field.name}__in": querysets[Image]})
    return {model: number for model, queryset in querysets.items() if (number := queryset.count())}


def delete_image(image: Image, identity: Identity | None = None) -> Deleted:
    """Delete one image. A worker that is reading it has then lost its claim, and the result is discarded.

    Args:
        image: the image.
        identity: who deletes it, for the audit; None for the service itself.
    """
    deleted = Deleted()
    _delete_images(Image.objects.filter(pk=image.pk), deleted, partial(record_each, identity, Action.DELETE))
    return logged(f"image {image.pk}", deleted)


def delete_images(images: "QuerySet[Any]") -> Deleted:
    """Delete the expired images of a queryset in chunks, so that others can write in between."""
    deleted = Deleted()
    _delete_in_chunks(images, deleted, partial(record_each, None, Action.DELETE))
    return logged("images", deleted)


def delete_study(study: Study, identity: Identity | None = None) -> Deleted:
    """Delete a study with its images and ZIPs. The arguments are as for :func:`delete_image`.

    If the process dies half-way, the study is left cancelled and can be deleted again.
    """
    deleted = Deleted()
    record(identity, Action.DELETE, study)
    _delete_study(study, deleted)
    return logged(f"study {study.pk}", deleted)


def delete_patient(patient: Patient, identity: Identity | None = None) -> Deleted:
    """Delete a patient with all their studies and images. The arguments are as for :func:`delete_image`."""
    deleted = Deleted()
    record(identity, Action.DELETE, patient)
    _delete_patient(patient, deleted)
    return logged(f"patient {patient.pk}", deleted)


def delete_guest(guest: UUID) -> Deleted:
    """Delete everything that a guest has uploaded."""
    deleted = Deleted()
    delete_all_of(Q(guest=guest), deleted)
    return logged("a guest's uploads", deleted)


#: The function that deletes a row of each model.
DELETE: dict[type[Owned], Callable[[Any, Identity | None], Deleted]] = {
    Image: delete_image,
    Study: delete_study,
    Patient: delete_patient,
}


def logged(subject: str, deleted: Deleted) -> Deleted:
    transaction.on_commit(lambda: logger.info("%s deleted: %s", subject, deleted.as_dict()))
    return deleted


#: Records the deletion of images in the audit, in the same transaction. Used if the images are not deleted with a study
#: or a patient, whose deletion is recorded instead.
Recorder = Callable[[list[Image]], None]


def _delete_in_chunks(images: "QuerySet[Any]", deleted: Deleted, recorder: Recorder | None = None) -> None:
    while ids := list(images.order_by().values_list("pk", flat=True)[:CHUNK]):
        _delete_images(images.filter(pk__in=ids), deleted, recorder)


def delete_all_of(owner: Q, deleted: Deleted) -> None:
    for study in Study.objects.filter(owner):
        _delete_study(study, deleted)
    _delete_in_chunks(Image.objects.filter(owner), deleted)
    for patient in Patient.objects.filter(owner):
        _delete_patient(patient, deleted)


def _delete_study(study: Study, deleted: Deleted) -> None:
    # From here on, no more of its images are unpacked or read.
    _stop(study)
    _delete_in_chunks(study.images.all(), deleted)
    _delete_empty_study(study.pk, deleted)


def _delete_patient(patient: Patient, deleted: Deleted) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        for study in patient.studies.all():
            _delete_study(study, deleted)
        _delete_in_chunks(patient.images.all(), deleted)
        try:
            _delete_empty_patient(patient.pk, deleted)
            return
        except IntegrityError:
            # Another image of the patient arrived in between.
            if attempt == ATTEMPTS:
                raise


@atomically
def _stop(study: Study) -> None:
    cancellation.stop(study)


@atomically
def _delete_images(images: "QuerySet[Any]", deleted: Deleted, recorder: Recorder | None = None) -> None:
    locked = lock(images)
    ids = [image.pk for image in locked]
    if recorder:
        recorder(locked)
    readings = Reading.objects.filter(image__in=ids).exclude(input="")
    # A set, because an upload can be its own preview.
    names = {str(file.name) for image in locked for file in (image.file, image.preview) if file}
    names |= set(readings.values_list("input", flat=True))
    outbox.forget(ids)
    deleting.send(None, ids=ids)
    delete_rows(Image.objects.filter(pk__in=ids), names, deleted)
    # The study may have finished now.
    study_progressed({image.study_id for image in locked if image.status in WAITING and image.study_id})
    transaction.on_commit(notices.publish)


@atomically
def _delete_empty_study(study_id: UUID, deleted: Deleted) -> None:
    """Delete a study whose images are deleted, with any images that were unpacked since then."""
    lock(Study.objects.filter(pk=study_id))
    if late_images := list(Image.objects.filter(study=study_id).values_list("pk", flat=True)):
        _delete_images(Image.objects.filter(pk__in=late_images), deleted)
    names = {str(archive.file.name) for archive in Archive.objects.filter(study=study_id) if archive.file}
    outbox.forget([study_id])
    deleting.send(None, ids=[study_id])
    delete_rows(Study.objects.filter(pk=study_id), names, deleted)


@atomically
def _delete_empty_patient(patient_id: UUID, deleted: Deleted) -> None:
    patient = Patient.objects.filter(pk=patient_id)
    lock(patient)
    delete_rows(patient, set(), deleted)


def lock(rows: "QuerySet[Any]") -> list[Any]:
    """Lock and return rows. A transaction that adds references to them waits, and then finds them gone.

    The order prevents a deadlock between two deletions.
    """
    return list(rows.select_for_update().order_by("pk"))


def delete_rows(rows: "QuerySet[Any]", names: set[str], deleted: Deleted) -> None:
    _, by_model = rows.delete()
    transaction.on_commit(partial(_delete_files, Counter(by_model), names, deleted))


def _delete_files(rows: Counter[str], names: set[str], deleted: Deleted) -> None:
    deleted.rows += rows
    not_deleted = media.delete_many(names)
    deleted.files += len(names) - len(not_deleted)
    deleted.files_left += len(not_deleted)
