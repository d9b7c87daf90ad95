"""The outbox: written once in the caller's transaction, claimed by one, tried again, dead in the end, purged."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery, Silence, State
from webapp.studies.outbox.services import NotDeliveredError

HOUR = timedelta(hours=1)


def put(key="event", **more):
    with transaction.atomic():
        outbox.put("test", key, {"id": 1}, **more)
    return Delivery.objects.get(key=key)


def make_due(delivery):
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())


def state_of(delivery):
    return Delivery.objects.get(pk=delivery.pk).state


# --- writing --------------------------------------------------------------------------------------------------------


def test_a_delivery_comes_and_goes_with_the_transaction_of_what_it_announces(db, commit, sent):
    with commit(), transaction.atomic():
        outbox.put("test", "event", {})
        transaction.set_rollback(True)
    assert (Delivery.objects.count(), sent.wakes) == (0, 0)
    with commit():
        put()
        assert sent.wakes == 0
    assert (Delivery.objects.count(), sent.wakes) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_nothing_can_be_put():
    with pytest.raises(transaction.TransactionManagementError):
        outbox.put("test", "event", {})


def test_the_same_event_is_written_once(db):
    first = put()
    assert put().pk == first.pk
    assert Delivery.objects.count() == 1


def test_without_a_broker_the_delivery_is_written_all_the_same(db, no_broker, commit):
    with commit():
        put()
    assert outbox.claim("a").key == "event"


# --- claims ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_take_each_delivery_once():
    for number in range(40):
        put(str(number))

    def work(number):
        taken = []
        try:
            while delivery := outbox.claim(f"worker-{number}"):
                taken.append(delivery.key)
        finally:
            connections.close_all()
        return taken

    with ThreadPoolExecutor(4) as threads:
        taken = [key for keys in threads.map(work, range(4)) for key in keys]
    assert sorted(taken) == sorted(str(number) for number in range(40))


def test_the_longest_due_goes_first_and_one_at_a_time_to_a_receiver(db):
    first, second, other = put("1", destination="slow"), put("2", destination="slow"), put("3", destination="other")
    assert outbox.claim("a").pk == first.pk
    assert outbox.claim("b").pk == other.pk
    assert outbox.claim("c") is None
    outbox.delivered(Delivery.objects.get(pk=first.pk))
    assert outbox.claim("c").pk == second.pk


def test_what_a_dead_process_was_sending_is_sent_again(db):
    put()
    lost = outbox.claim("a")
    assert outbox.release_abandoned() == 0
    make_due(lost)  # its claim has ended
    assert outbox.release_abandoned() == 1
    again = Delivery.objects.get()
    assert (again.state, again.attempts, again.pk) == (State.WAITING, 1, lost.pk)
    assert again.last_error
    make_due(again)
    assert outbox.claim("b").attempts == 2
    # The worker that counted as dead changes nothing any more.
    assert not outbox.delivered(lost)
    outbox.failed(lost, NotDeliveredError("late"))
    assert state_of(lost) == State.SENDING


def test_a_claim_outlives_the_task_that_holds_it(settings):
    assert timedelta(seconds=outbox.TASK_SECONDS) < outbox.CLAIM
    # A message that is not acknowledged by then is given to another worker.
    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] > outbox.TASK_SECONDS


# --- failures -------------------------------------------------------------------------------------------------------


def test_the_waits_grow_threefold_up_to_six_hours(db):
    delivery, waits = put(), []
    for _ in range(12):
        make_due(delivery)
        before = timezone.now()
        outbox.failed(outbox.claim("a"), NotDeliveredError("answered 500"))
        waits.append((Delivery.objects.get().next_attempt_at - before).total_seconds())
    expected = [min(10 * 3**number, 6 * 3600) for number in range(12)]
    assert all(0.8 * due <= took <= 1.2 * due + 1 for took, due in zip(waits, expected, strict=True)), waits
    assert len({round(took / due, 3) for took, due in zip(waits, expected, strict=True)}) > 3, "no jitter"


def test_a_delivery_that_is_too_old_is_dead_and_stays(db):
    delivery = put()
    Delivery.objects.update(expires_at=timezone.now())
    outbox.failed(outbox.claim("a"), NotDeliveredError("answered 500"))
    dead = Delivery.objects.get(pk=delivery.pk)
    assert (dead.state, dead.last_error) == (State.DEAD, "answered 500")
    make_due(dead)
    assert outbox.claim("a") is None


def test_a_permanent_failure_is_not_tried_again(db):
    delivery = put()
    outbox.failed(outbox.claim("a"), NotDeliveredError("gone", permanent=True))
    assert state_of(delivery) == State.DEAD


def test_one_delivery_asks_for_all_whether_the_receiver_is_back(db):
    first, *others = (put(str(number), destination="down") for number in range(4))
    elsewhere = put("elsewhere", destination="up")
    outbox.failed(outbox.claim("a"), NotDeliveredError("no answer", unreachable=True))
    # Nor is it asked for what comes meanwhile.
    others.append(put("new", destination="down"))
    until = Silence.objects.get().until
    rest = Delivery.objects.filter(destination="down")
    assert set(rest.values_list("next_attempt_at", flat=True)) == {until}
    assert outbox.claim("a").pk == elsewhere.pk
    assert outbox.claim("a") is None
    # It is asked once more, and does not answer.
    rest.update(next_attempt_at=timezone.now())
    outbox.failed(outbox.claim("a"), NotDeliveredError("no answer", unreachable=True))
    assert outbox.claim("a") is None
    assert Silence.objects.get().until > until
    # Once it answers to one, which somebody sends by hand, everything is due.
    outbox.send_again([others[-1].pk], states=(State.WAITING,))
    taken = []
    while delivery := outbox.claim("a"):
        taken.append(delivery.pk)
        outbox.delivered(delivery)
    assert taken[0] == others[-1].pk
    assert sorted(taken) == sorted(one.pk for one in (first, *others))
    assert not Silence.objects.exists()


def test_a_receiver_that_is_down_is_asked_every_quarter_of_an_hour(db):
    delivery, waits = put(destination="down"), []
    for _ in range(7):
        make_due(delivery)
        outbox.failed(outbox.claim("a"), NotDeliveredError("no answer", unreachable=True))
        waits.append((Silence.objects.get().until - timezone.now()).total_seconds())
    expected = [min(10 * 3**number, 15 * 60) for number in range(7)]
    assert all(0.7 * due <= took <= 1.3 * due for took, due in zip(waits, expected, strict=True)), waits


def test_a_bad_answer_holds_up_no_other_delivery(db):
    put("1", destination="a")
    second = put("2", destination="a")
    outbox.failed(outbox.claim("a"), NotDeliveredError("answered 500"))
    assert outbox.claim("a").pk == second.pk


# --- many delivered -------------------------------------------------------------------------------------------------


def test_old_deliveries_that_arrived_are_purged_and_nothing_else(db):
    put("dead one")
    outbox.failed(outbox.claim("a"), NotDeliveredError("gone", permanent=True))
    old = timezone.now() - 31 * 24 * HOUR
    for number in range(7):
        delivery = put(str(number))
        outbox.delivered(outbox.claim("a"))
        if number:
            Delivery.objects.filter(pk=delivery.pk).update(delivered_at=old)
    Delivery.objects.filter(state=State.DEAD).update(created_at=old)
    assert outbox.purge(30, chunk=4) == 6
    assert set(Delivery.objects.values_list("key", flat=True)) == {"0", "dead one"}


def test_what_is_due_is_found_by_an_index(db):
    """However many were delivered, only those that are due are looked at."""
    if connection.vendor != "sqlite":
        pytest.skip("other databases choose by what they hold, which is nothing here")
    now = timezone.now()
    due = Delivery.objects.filter(state=State.WAITING, next_attempt_at__lte=now).exclude(destination__in=["a"])
    plan = due.order_by("next_attempt_at").explain()
    assert "state=? AND next_attempt_at<" in plan
    assert "TEMP B-TREE" not in plan
    assert "state=? AND delivered_at<" in Delivery.objects.filter(state="delivered", delivered_at__lt=now).explain()


def test_claiming_costs_the_same_however_many_were_delivered(db, statements):
    counts = []
    for already in (0, 300):
        Delivery.objects.bulk_create(
            Delivery(key=str(uuid4()), kind="test", state=State.DELIVERED, next_attempt_at=timezone.now(),
                     expires_at=timezone.now(), delivered_at=timezone.now())
            for _ in range(already)
        )  # fmt: skip
        put(f"due {already}")
        statements.clear()
        outbox.delivered(outbox.claim("a"))
        counts.append(len(statements))
    assert counts[0] == counts[1]
