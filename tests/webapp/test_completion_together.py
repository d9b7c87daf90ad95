"""A study is announced once, even if several transactions end its last images at the same time."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.db import connection, connections
from django.utils import timezone

from tests import synthetic
from tests.completion import add_archive, announced, succeed
from tests.webapp.rows import claim
from webapp.accounts.identity import Identity
from webapp.studies.choices import Status
from webapp.studies.models import Image, Study
from webapp.studies.services import archives, cancellation, completion, reading, uploads
from webapp.studies.transactions import atomically

READY, DONE = Status.READY, Status.SUCCEEDED


def fail(image):
    token, _ = claim(image)
    return reading.fail(token, image.pk, "model_error", "No.")


def together(*works):
    """Run each function in its own thread. All of them start at the same moment."""
    start = Barrier(len(works))

    def run(work):
        try:
            start.wait(20)
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))


@pytest.mark.django_db(transaction=True)
def test_there_is_one_event_when_the_last_images_end_at_the_same_time(make_study):
    """Each transaction still sees the other transactions' images as unfinished."""
    for turn in range(8):
        study = make_study(*[READY] * 4)
        images = list(study.images.all())
        together(
            lambda image=images[0]: succeed(image),
            lambda image=images[1]: fail(image),
            lambda image=images[2]: cancellation.cancel_image(image),
            (lambda study=study: cancellation.cancel_study(study))
            if turn % 2
            else (lambda image=images[3]: succeed(image)),
        )
        assert not study.images.waiting().exists()
        assert len(announced(study)) == 1, turn


@pytest.mark.django_db(transaction=True)
def test_two_transactions_that_overlap_completely_announce_once(make_study):
    """Both have ended their images before either of them commits."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite runs writing transactions one after the other")
    study = make_study(READY, READY)
    barrier, tried = Barrier(2), set()

    @atomically
    def end(image):
        Image.objects.filter(pk=image.pk).update(status=DONE, finished_at=timezone.now())
        if image.pk not in tried:  # MariaDB aborts one of them, so that it runs again
            tried.add(image.pk)
            barrier.wait(20)
        completion.study_progressed([study.pk])
        time.sleep(0.5)

    together(*(lambda image=image: end(image) for image in study.images.all()))
    assert len(announced(study)) == 1


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_an_image_that_is_added_while_the_last_one_ends_is_announced_when_it_ends(make_study, make_image):
    """It is never missed: another event follows after the added image itself ends."""
    for _ in range(6):
        study = make_study(READY)
        last = study.images.get()
        _, added = together(lambda last=last: succeed(last), lambda study=study: make_image(READY, study=study))
        before = len(announced(study))
        succeed(added)
        assert len(announced(study)) == before + 1
        assert before in (0, 1)


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_zip_and_the_last_image_that_end_together_finish_the_study_once(make_study):
    for _ in range(6):
        study = make_study(READY)
        archive, last = add_archive(study), study.images.get()
        together(
            lambda last=last: succeed(last),
            lambda archive=archive: archives.fail_archive(archive, "archive_corrupt", "No."),
        )
        assert len(announced(study)) == 1


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_many_batches_of_many_studies_announce_each_once(settings):
    identity = Identity(guest=uuid4())
    jpeg = synthetic.xray_jpeg(size=(160, 120))
    studies = [
        uploads.create_study(identity, [ContentFile(jpeg, name=f"{n}.jpg") for n in range(10)]) for _ in range(3)
    ]
    Image.objects.update(status=READY)
    pks = list(Image.objects.order_by("filename", "study").values_list("pk", flat=True))
    parts = [pks[start::4] for start in range(4)]

    def work(part):
        for start in range(0, len(part), 3):
            succeed(*Image.objects.filter(pk__in=part[start : start + 3]))

    together(*(lambda part=part: work(part) for part in parts))
    assert not Image.objects.exclude(status=DONE).exists()
    assert [len(announced(study)) for study in Study.objects.filter(pk__in=[study.pk for study in studies])] == [1] * 3
