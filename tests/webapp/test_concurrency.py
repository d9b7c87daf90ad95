"""Many threads read, cancel, return and upload at the same time: each image gets one final status, on any database."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.db import connections
from django.db.models import F, QuerySet

from tests import synthetic
from tests.webapp.rows import BUNDLE, MODEL, WORKER, claim, result
from webapp.accounts.identity import Identity
from webapp.studies import transactions
from webapp.studies.choices import FINAL, Status
from webapp.studies.models import Image, Patient, Reading
from webapp.studies.services import archives, cancellation, reading, uploads

WORKERS = 4


@pytest.fixture
def at_once():
    """Run a function in several threads, each with a connection of its own."""

    def run(work):
        def closing(number):
            try:
                return work(number)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(WORKERS) as threads:
            return list(threads.map(closing, range(WORKERS)))

    return run


@pytest.fixture
def aborts(monkeypatch):
    """Errors of aborted transactions, which are then run again."""
    seen = []
    was_aborted = transactions.was_aborted

    def count(error):
        seen.append(str(error))
        return was_aborted(error)

    monkeypatch.setattr(transactions, "was_aborted", count)
    return seen


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_each_image_gets_one_final_status_among_competing_workers(make_study, at_once, aborts):
    studies = [make_study(*[Status.READY] * 40) for _ in range(3)]
    ids = list(Image.objects.values_list("pk", flat=True))

    def work(number):
        draw = random.Random(number)
        for turn in range(25):
            sample = draw.sample(ids, 16)
            if number == 0 and turn in (8, 16):
                cancellation.cancel_study(studies[turn // 8 - 1])
            elif number == 0:
                reading.release_abandoned([WORKER], 1000)
            else:
                token, held = claim(*sample, worker=WORKER if turn % 5 else uuid4())
                own = [row.image_id for row in held]
                draw.shuffle(own)
                reading.return_unread(token, own[:2])
                reading.succeed(token, [result(pk) for pk in (own[4:] if number == 1 else own)], MODEL, seconds=0.1)
                reading.release(token)

    at_once(work)
    print(f"\n{len(aborts)} transactions were run again")
    for status in Status:
        images = set(Image.objects.filter(status=status).values_list("pk", flat=True))
        assert images == set(Reading.objects.filter(state=status).values_list("image", flat=True)), status
    assert Reading.objects.filter(state=Status.SUCCEEDED).exclude(probability=None).exists()
    assert Image.objects.filter(status=Status.RUNNING).count() == 0
    assert set(Image.objects.values_list("status", flat=True)) <= {Status.READY, *FINAL}


@pytest.mark.django_db(transaction=True)
def test_each_bulk_image_is_read_once_by_competing_workers(make_study, at_once):
    for _ in range(3):
        make_study(*[Status.READY] * 30)
    Reading.objects.update(turn=F("pk"))
    read = []

    def work(number):
        while held := reading.claim(token := uuid4(), WORKER, BUNDLE, [], 7):
            read.extend(row.image_id for row in held)
            assert reading.succeed(token, [result(row.image_id) for row in held], MODEL, seconds=0.1) == len(held)

    at_once(work)
    assert sorted(read) == sorted(Image.objects.values_list("pk", flat=True))
    assert set(Image.objects.values_list("status", flat=True)) == {Status.SUCCEEDED}


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_patient_is_created_once_however_many_images_arrive_together(at_once, aborts, sent):
    identity = Identity(guest=uuid4())

    def work(number):
        for seed in range(6):
            content = ContentFile(synthetic.xray_jpeg(seed, (160, 120)), name="x.jpg")
            uploads.create_image(identity, content, filename=f"{number}-{seed}.jpg", patient=f"P-{seed}")

    at_once(work)
    print(f"\n{len(aborts)} transactions were run again")
    assert Patient.objects.count() == 6
    assert Image.objects.count() == 6 * WORKERS
    assert len(sent.images) == 6 * WORKERS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["chunk", "cancellation"])
def test_a_study_that_is_cancelled_while_its_zip_is_unpacked_has_nothing_left_to_read(sent, monkeypatch, first):
    """This holds whichever of the two starts first. The other starts in the middle of the first one's transaction."""
    content = ContentFile(synthetic.zip_of({f"{n}.jpg": synthetic.xray_jpeg(n, (80, 80)) for n in range(3)}), "a.zip")
    study = uploads.create_study(Identity(guest=uuid4()), [content])

    def closing(work):
        try:
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as other:
        started = []

        def meanwhile(work):
            """Start the other operation here, and give it time to wait for a lock."""
            if not started:
                started.append(other.submit(closing, work))
                time.sleep(0.5)

        if first == "chunk":
            insert = QuerySet.bulk_create
            monkeypatch.setattr(
                QuerySet,
                "bulk_create",
                lambda *args, **kwargs: meanwhile(lambda: cancellation.cancel_study(study)) or insert(*args, **kwargs),
            )
            archives.unpack()
        else:
            exists = QuerySet.exists
            monkeypatch.setattr(QuerySet, "exists", lambda query: meanwhile(lambda: archives.unpack()) or exists(query))
            cancellation.cancel_study(study)
        started[0].result(30)
    assert list(study.images.values_list("status", flat=True)) == [Status.CANCELLED] * 3
