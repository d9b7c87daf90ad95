"""Delete images, studies, patients and guests, with every row that belongs to them and every file that they name.

Rows go first, a chunk in one transaction; their files go when it is committed. A file that cannot be deleted is left to
the orphan sweep (:mod:`webapp.retention.sweep`). Rows of other apps that refer to an image, such as a radiologist's
review, go with it and are counted.
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

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record, record_each
from webapp.storage.media import media
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


@dataclass
class Deleted:
    """A report of a deletion.

    Attributes:
        rows: their number by model, such as ``{"studies.Image": 3, "reviews.Review": 1}``.
        files: how many files were deleted.
        files_left: how many could not be; the orphan sweep takes them.
    """

    rows: Counter[str] = field(default_factory=Counter)
    files: int = 0
    files_left: int = 0

    def as_dict(self) -> dict[str, int]:
        found = {**self.rows, "files": self.files, "files_left": self.files_left}
        return {name: number for name, number in found.items() if number}


def count(rows: Sequence[Owned]) -> dict[type[Model], int]:
    """How many rows of each model would go with some images, studies or patients, all of one kind."""
    ids = [row.pk for row in rows]
    found: dict[Any, QuerySet[Any]]
    if isinstance(rows[0], Image):
        found = {Image: Image.objects.filter(pk__in=ids)}
    elif isinstance(rows[0], Study):
        found = {Study: Study.objects.filter(pk__in=ids), Image: Image.objects.filter(study__in=ids)}
    else:
        studies = Study.objects.filter(patient__in=ids)
        # By their ids: for a subquery in this condition PostgreSQL would read all images.
        images = Image.objects.filter(Q(patient__in=ids) | Q(study__in=list(studies.values_list("pk", flat=True))))
        found = {Patient: Patient.objects.filter(pk__in=ids), Study: studies, Image: images}
    for related in Image._meta.related_objects:
        model: Any = related.related_model
        if related.on_delete is CASCADE:
            found[model] = model._base_manager.filter(**{f"{related.field.name}__in": found[Image]})
    return {model: number for model, queryset in found.items() if (number := queryset.count())}


def delete_image(image: Image, by: Identity | None = None) -> Deleted:
    """Delete one image. A worker that is reading it finds its claim gone, and its result is dropped.

    Args:
        by: who does it, for the audit; None for the service itself.
    """
    deleted = Deleted()
    _delete_images([image.pk], deleted, partial(record_each, by, Action.DELETE))
    return logged(f"image {image.pk}", deleted)


def delete_images(images: "QuerySet[Any]") -> Deleted:
    """Delete the expired images of a queryset, chunk by chunk, so that others can write in between."""
    deleted = Deleted()
    _delete_in_chunks(images, deleted, partial(record_each, None, Action.DELETE))
    return logged("images", deleted)


def delete_study(study: Study, by: Identity | None = None) -> Deleted:
    """Delete a study with its images and its ZIPs; ``by`` is as of :func:`delete_image`.

    If the process dies half-way the study is left cancelled, and can be deleted again.
    """
    deleted = Deleted()
    record(by, Action.DELETE, study)
    _delete_study(study, deleted)
    return logged(f"study {study.pk}", deleted)


def delete_patient(patient: Patient, by: Identity | None = None) -> Deleted:
    """Delete a patient with all their studies and images; ``by`` is as of :func:`delete_image`."""
    deleted = Deleted()
    record(by, Action.DELETE, patient)
    _delete_patient(patient, deleted)
    return logged(f"patient {patient.pk}", deleted)


def delete_guest(guest: UUID) -> Deleted:
    """Delete everything that a guest has uploaded."""
    deleted = Deleted()
    delete_all_of(Q(guest=guest), deleted)
    return logged("a guest's uploads", deleted)


#: The service for each model.
DELETE: dict[type[Owned], Callable[[Any, Identity | None], Deleted]] = {
    Image: delete_image,
    Study: delete_study,
    Patient: delete_patient,
}


def logged(what: str, deleted: Deleted) -> Deleted:
    transaction.on_commit(lambda: logger.info("%s deleted: %s", what, deleted.as_dict()))
    return deleted


#: Records the deletion of images that are named by themselves, in its transaction.
Recorder = Callable[[list[Image]], None]


def _delete_in_chunks(images: "QuerySet[Any]", deleted: Deleted, recorder: Recorder | None = None) -> None:
    while ids := list(images.order_by().values_list("pk", flat=True)[:CHUNK]):
        _delete_images(ids, deleted, recorder)


def delete_all_of(owner: Q, deleted: Deleted) -> None:
    for study in Study.objects.filter(owner):
        _delete_study(study, deleted)
    _delete_in_chunks(Image.objects.filter(owner), deleted)
    for patient in Patient.objects.filter(owner):
        _delete_patient(patient, deleted)


def _delete_study(study: Study, deleted: Deleted) -> None:
    # Nothing more of it is unpacked or read meanwhile.
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
def _delete_images(ids: Sequence[UUID], deleted: Deleted, recorder: Recorder | None = None) -> None:
    images = Image.objects.filter(pk__in=ids)
    # A set: an upload can be its own preview.
    locked = lock(images)
    if recorder:
        recorder(locked)
    readings = Reading.objects.filter(image__in=ids).exclude(input="")
    names = {str(file.name) for image in locked for file in (image.file, image.preview) if file}
    names |= set(readings.values_list("input", flat=True))
    outbox.forget([image.pk for image in locked])
    delete_rows(images, names, deleted)
    # The study may now be finished.
    study_progressed({image.study_id for image in locked if image.status in WAITING and image.study_id})


@atomically
def _delete_empty_study(study_id: UUID, deleted: Deleted) -> None:
    """Delete a study whose images are deleted, with any that were still being unpacked."""
    lock(Study.objects.filter(pk=study_id))
    if left := list(Image.objects.filter(study=study_id).values_list("pk", flat=True)):
        _delete_images(left, deleted)
    names = {str(archive.file.name) for archive in Archive.objects.filter(study=study_id) if archive.file}
    outbox.forget([study_id])
    delete_rows(Study.objects.filter(pk=study_id), names, deleted)


@atomically
def _delete_empty_patient(patient_id: UUID, deleted: Deleted) -> None:
    patient = Patient.objects.filter(pk=patient_id)
    lock(patient)
    delete_rows(patient, set(), deleted)


def lock(rows: "QuerySet[Any]") -> list[Any]:
    """Lock rows, so that a transaction that adds references to them waits, and then finds none.

    The order keeps two deletions from a deadlock.
    """
    return list(rows.select_for_update().order_by("pk"))


def delete_rows(rows: "QuerySet[Any]", names: set[str], deleted: Deleted) -> None:
    _, by_model = rows.delete()
    transaction.on_commit(partial(_committed, Counter(by_model), names, deleted))


def _committed(rows: Counter[str], names: set[str], deleted: Deleted) -> None:
    deleted.rows += rows
    left = media.delete_many(names)
    deleted.files += len(names) - len(left)
    deleted.files_left += len(left)
