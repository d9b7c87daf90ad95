"""A study is announced once each time it finishes, whichever process finishes its last images."""

import pytest
from django.core.files.base import ContentFile
from django.db import transaction

from tests.completion import add_archive, announced, succeed
from tests.webapp.rows import claim
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.outbox.models import Delivery
from webapp.studies.services import archives, cancellation, completion, reading, uploads

READY, DONE = Status.READY, Status.SUCCEEDED


@pytest.mark.parametrize("last", ["succeeded", "failed", "suspect", "cancelled", "study cancelled"])
def test_the_end_of_the_last_image_finishes_the_study(make_study, settings, last):
    study = make_study(READY, READY)
    first, second = study.images.all()
    succeed(first)
    assert not announced(study)
    if last == "succeeded":
        succeed(second)
    elif last == "failed":
        token, _ = claim(second)
        reading.fail(token, second.pk, "model_error", "No.")
    elif last == "suspect":
        second.readings.update(attempts=settings.MAX_ATTEMPTS)
        claim(second)
    elif last == "cancelled":
        cancellation.cancel_image(second)
    else:
        cancellation.cancel_study(study)
    assert len(announced(study)) == 1


def test_one_batch_finishes_several_studies_and_no_incomplete_one(make_study):
    whole, part, other = make_study(READY, READY), make_study(READY, READY), make_study(READY)
    succeed(*whole.images.all(), part.images.first(), *other.images.all())
    assert [len(announced(study)) for study in (whole, part, other)] == [1, 0, 1]


def test_images_without_a_study_announce_nothing(make_image):
    succeed(make_image(READY))
    assert not Delivery.objects.exists()


def test_a_study_whose_files_were_all_refused_is_finished_at_once(guest, db):
    study = uploads.create_study(guest, [ContentFile(b"no image", name="a.txt"), ContentFile(b"", name="b.txt")])
    assert len(announced(study)) == 1


def test_a_study_with_images_to_read_is_not_finished_at_once(guest, db, jpeg, zipped):
    study = uploads.create_study(guest, [ContentFile(b"no image", name="a.txt"), ContentFile(jpeg, name="b.jpg")])
    packed = uploads.create_study(guest, [ContentFile(zipped, name="a.zip")])
    assert not announced(study)
    assert not announced(packed)


def test_a_study_is_not_finished_while_a_zip_is_unpacked(make_study, zipped):
    study = make_study(READY)
    add_archive(study, zipped)
    succeed(*study.images.all())
    assert not announced(study)
    archives.unpack()
    assert not announced(study)
    Image.objects.filter(status=Status.QUEUED).update(status=READY)
    succeed(*study.images.filter(status=READY))
    assert len(announced(study)) == 1


def test_a_zip_that_fails_finishes_the_study(make_study):
    study = make_study(READY)
    archive = add_archive(study)
    succeed(*study.images.all())
    archives.fail_archive(archive, "archive_corrupt", "No.")
    archives.fail_archive(archive, "archive_corrupt", "No.")
    assert len(announced(study)) == 1


def test_a_cancelled_study_is_finished_when_its_zip_is_unpacked(make_study, zipped):
    study = make_study(READY)
    add_archive(study, zipped)
    cancellation.cancel_study(study)
    assert not announced(study)
    archives.unpack()
    assert study.images.filter(status=Status.CANCELLED).count() == 4
    assert len(announced(study)) == 1


def test_a_study_to_which_images_are_added_finishes_again(make_study, make_image):
    study = make_study(READY)
    succeed(*study.images.all())
    for times in (2, 3):
        added = make_image(READY, study=study)
        assert len(announced(study)) == times - 1
        succeed(added)
        assert len(announced(study)) == times
    add_archive(study)
    archives.fail_archive(study.archives.get(), "archive_corrupt", "No.")
    assert len(announced(study)) == 4


def test_a_study_is_announced_once_if_its_progress_is_reported_twice(make_study):
    study = make_study(DONE, DONE)
    for _ in range(3):
        with transaction.atomic():
            completion.study_progressed([study.pk, study.pk])
    assert len(announced(study)) == 1


def test_a_result_that_is_rolled_back_announces_nothing(make_study):
    study = make_study(READY)
    with transaction.atomic():
        succeed(*study.images.all())
        assert announced(study)
        transaction.set_rollback(True)
    assert not announced(study)


def test_the_number_of_statements_does_not_grow_with_the_study(make_study, statements):
    counts = []
    for size in (2, 12):
        study = make_study(*[READY] * size)
        first = study.images.first()
        statements.clear()
        with transaction.atomic():
            completion.finish(Image.objects.filter(pk=first.pk), DONE)
        counts.append(len(statements))
    assert counts[0] == counts[1]
