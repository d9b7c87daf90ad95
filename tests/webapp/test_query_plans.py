"""Work that runs for every batch or every few seconds reads only the rows it needs, however many others exist."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from tests.webapp.rows import BUNDLE, MODEL, WORKER, claim, make_reading, result
from webapp.ops.models import Worker
from webapp.studies.choices import Status
from webapp.studies.models import Image, Reading
from webapp.studies.services import cancellation, preparation, reading, reconciliation, turns

pytestmark = pytest.mark.django_db


@pytest.fixture
def plans():
    """Run a function, and return the statements that it ran, each with its query plan."""
    if connection.vendor not in ("sqlite", "postgresql"):
        pytest.skip("its plans depend on the contents of the tables, which are nearly empty here")

    def run(work):
        explained = []

        def explain(execute, sql, params, many, context):
            if re.match(r"(SELECT|UPDATE|DELETE)\b", sql) and not many:
                explained.append((sql, plan(sql, params)))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(explain):
            work()
        return explained

    def plan(sql, params):
        with connection.cursor() as cursor, connection.wrap_database_errors:
            raw = cursor.cursor
            if connection.vendor == "postgresql":
                # PostgreSQL reads such small tables as a whole unless that is turned off.
                raw.execute("SET LOCAL enable_seqscan = off")
                raw.execute(f"EXPLAIN {sql}", params)
                return "\n".join(row[0] for row in raw.fetchall())
            raw.execute(f"EXPLAIN QUERY PLAN {sql}", params or ())
            return "\n".join(row[3] for row in raw.fetchall())

    return run


def assert_none_scans(explained):
    assert explained
    for sql, plan in explained:
        # SQLite "SCAN studies_image" and "SCAN studies_image USING INDEX"; PostgreSQL "Seq Scan on studies_image".
        scanned = re.search(r"(SCAN (TABLE )?|Seq Scan on )\"?studies_(image|reading)\b.*", plan)
        assert not scanned, f"{scanned.group(0)}\n{sql}\n{plan}"


@pytest.fixture
def held(make_image):
    """Images in a batch, and the batch's claim."""
    images = [make_image(Status.READY) for _ in range(3)]
    token, _ = claim(*images)
    return token, images


def test_a_claim_scans_no_table(plans, make_image):
    ids = [make_image(Status.READY).pk for _ in range(3)]
    explained = plans(lambda: reading.claim(uuid4(), WORKER, BUNDLE, [*ids, uuid4()]))
    assert Reading.objects.filter(state="running").count() == 3
    assert_none_scans(explained)


def test_writing_results_scans_no_table(plans, held):
    token, images = held
    assert_none_scans(plans(lambda: reading.succeed(token, [result(one.pk) for one in images], MODEL, seconds=0.1)))
    assert Image.objects.filter(status="succeeded").count() == 3


@pytest.mark.parametrize("action", ["release", "return_unread"])
def test_giving_back_a_batch_scans_no_table(plans, held, action):
    token, images = held
    ids = [one.pk for one in images]
    give_back = {"release": lambda: reading.release(token), "return_unread": lambda: reading.return_unread(token, ids)}
    assert_none_scans(plans(give_back[action]))
    assert Image.objects.filter(status="ready").count() == 3


def test_a_failure_and_a_cancellation_scan_no_table(plans, held, make_study):
    token, images = held
    study = make_study(Status.READY, Status.QUEUED)
    assert_none_scans(plans(lambda: reading.fail(token, images[0].pk, "model_error", "No number.")))
    assert_none_scans(plans(lambda: cancellation.cancel_image(images[1])))
    assert_none_scans(plans(lambda: cancellation.cancel_study(study)))
    assert Image.objects.filter(status="cancelled").count() == 3


def test_looking_ahead_scans_and_sorts_nothing(plans, make_image):
    make_image(Status.READY)
    explained = plans(lambda: list(Reading.objects.next_to_read(BUNDLE)[:16]))
    assert_none_scans(explained)
    [(_, plan)] = explained
    assert "TEMP B-TREE" not in plan, "the index gives the order: not all waiting rows are sorted to find the first few"
    if connection.vendor == "postgresql":
        assert "Sort" not in plan


def test_checking_whether_bulk_images_can_wait_scans_no_table(plans, make_image):
    make_image(Status.READY, priority="bulk")
    answers = []
    assert_none_scans(plans(lambda: answers.append(turns.can_wait(BUNDLE))))
    assert answers == [False]


def test_the_reconciler_scans_no_table(plans, make_image, settings):
    settings.RESEND_AFTER_SECONDS = 0
    Worker.objects.create(id=WORKER, name="infer@a", role="infer", model=BUNDLE, seen_at=timezone.now())
    make_image(), make_image(Status.READY), make_image(Status.READY, bundle="net-0.9.0")
    make_image(Status.RUNNING, worker=uuid4()), make_image(Status.RUNNING)
    make_reading(make_image(Status.SUCCEEDED), bundle="net-2.0.0", shadow=True, priority="bulk")
    living = Worker.objects.living().values("id")
    workers = reconciliation.Workers(living, BUNDLE, [BUNDLE], ["net-2.0.0"])
    done = {}
    assert_none_scans(plans(lambda: done.update(reconciliation.reconcile(workers))))
    zeros = dict.fromkeys(("archives_released", "archives", "unsent"), 0)
    assert done == {"released": 1, "prepared_again": 1, "opened": 0, "closed": 0, "resent": 5, **zeros}


def test_preparing_scans_no_table(plans, make_image):
    image = make_image()
    prepared = preparation.Prepared("", 1, 1, "", {BUNDLE: "inputs/a.png", "net-2.0.0": "inputs/b.png"})
    assert_none_scans(plans(lambda: preparation.finish_ingest(preparation.start_ingest(image.pk), prepared)))


def test_preparing_joins_no_table_that_it_does_not_need(make_image, statements):
    image = make_image()
    statements.clear()
    assert preparation.finish_ingest(
        preparation.start_ingest(image.pk), preparation.Prepared("", 1, 1, "", {BUNDLE: "x"})
    )
    rows = [sql for sql in statements if sql.startswith(("SELECT", "INSERT", "UPDATE"))]
    assert len(rows) == 7, "two each for the pauses and the image, and three changes"
    assert not any("JOIN" in sql for sql in rows)


def test_a_batch_announces_any_number_of_positives_with_two_statements(make_image, user, statements):
    counts = []
    for size in (1, 5):
        images = [make_image(Status.READY, owner=user) for _ in range(size)]
        token, held = claim(*images)
        statements.clear()
        assert reading.succeed(token, [result(one.image_id) for one in held], MODEL, seconds=0.1) == size
        counts.append(len([sql for sql in statements if "outbox_delivery" in sql or "guest" in sql]))
    assert counts == [2, 2]


def test_a_batch_takes_the_same_queries_for_any_number_of_images(make_image, statements):
    counts = []
    for size in (2, 16):
        images = [make_image(Status.READY) for _ in range(size)]
        statements.clear()
        token, held = claim(*images)
        results = [result(one.image_id, 0.01 * place) for place, one in enumerate(held)]
        assert reading.succeed(token, results, MODEL, seconds=0.1) == size
        counts.append(len([sql for sql in statements if "SAVEPOINT" not in sql]))
    # Four to claim: the pauses, the readings, their images, and the fetch. Five to write: the warnings, the readings,
    # their studies, their images, and which of these came to a department as DICOM.
    assert counts == [9, 9]
