"""The outbox: deliveries are written once in the caller's transaction, claimed, retried, given up and purged."""

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


def test_a_delivery_is_committed_or_rolled_back_with_the_event_that_it_announces(db, commit, sent):
    with commit(), transaction.atomic():
        outbox.put("test", "event", {})
        transaction.set_rollback(True)
    assert (Delivery.objects.count(), sent.wakes) == (0, 0)
    with commit():
        put()
        assert sent.wakes == 0
    assert (Delivery.objects.count(), sent.wakes) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_put_fails_outside_of_a_transaction():
    with pytest.raises(transaction.TransactionManagementError):
        outbox.put("test", "event", {})


def test_the_same_event_is_written_once(db):
    first = put()
    assert put().pk == first.pk
    assert Delivery.objects.count() == 1


def test_a_delivery_is_written_even_without_a_broker(db, no_broker, commit):
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


def test_the_longest_due_delivery_goes_first_and_one_at_a_time_to_each_receiver(db):
    first, second, other = put("1", destination="slow"), put("2", destination="slow"), put("3", destination="other")
    assert outbox.claim("a").pk == first.pk
    assert outbox.claim("b").pk == other.pk
    assert outbox.claim("c") is None
    outbox.delivered(Delivery.objects.get(pk=first.pk))
    assert outbox.claim("c").pk == second.pk


def test_the_delivery_of_a_dead_process_is_sent_again(db):
    put()
    lost = outbox.claim("a")
    assert outbox.release_abandoned() == 0
    make_due(lost)  # its claim has expired
    assert outbox.release_abandoned() == 1
    again = Delivery.objects.get()
    assert (again.state, again.attempts, again.pk) == (State.WAITING, 1, lost.pk)
    assert again.last_error
    make_due(again)
    assert outbox.claim("b").attempts == 2
    # The worker that was presumed dead can change nothing any more.
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


def test_an_expired_delivery_is_dead_and_stays(db):
    delivery = put()
    Delivery.objects.update(expires_at=timezone.now())
    outbox.failed(outbox.claim("a"), NotDeliveredError("answered 500"))
    dead = Delivery.objects.get(pk=delivery.pk)
    assert (dead.state, dead.last_error) == (State.DEAD, "answered 500")
    make_due(dead)
    assert outbox.claim("a") is None


def test_a_permanent_failure_is_not_retried(db):
    delivery = put()
    outbox.failed(outbox.claim("a"), NotDeliveredError("gone", permanent=True))
    assert state_of(delivery) == State.DEAD


def test_one_delivery_tries_an_unreachable_receiver_for_all(db):
    first, *others = (put(str(number), destination="down") for number in range(4))
    elsewhere = put("elsewhere", destination="up")
    outbox.failed(outbox.claim("a"), NotDeliveredError("no answer", unreachable=True))
    # A delivery that is added meanwhile waits as well.
    others.append(put("new", destination="down"))
    until = Silence.objects.get().until
    rest = Delivery.objects.filter(destination="down")
    assert set(rest.values_list("next_attempt_at", flat=True)) == {until}
    assert outbox.claim("a").pk == elsewhere.pk
    assert outbox.claim("a") is None
    # The receiver is tried once more, and does not answer.
    rest.update(next_attempt_at=timezone.now())
    outbox.failed(outbox.claim("a"), NotDeliveredError("no answer", unreachable=True))
    assert outbox.claim("a") is None
    assert Silence.objects.get().until > until
    # Someone sends one delivery by hand. Once the receiver accepts it, all others are due.
    outbox.send_again([others[-1].pk], states=(State.WAITING,))
    taken = []
    while delivery := outbox.claim("a"):
        taken.append(delivery.pk)
        outbox.delivered(delivery)
    assert taken[0] == others[-1].pk
    assert sorted(taken) == sorted(one.pk for one in (first, *others))
    assert not Silence.objects.exists()


def test_an_unreachable_receiver_is_tried_every_quarter_of_an_hour(db):
    delivery, waits = put(destination="down"), []
    for _ in range(7):
        make_due(delivery)
        outbox.failed(outbox.claim("a"), NotDeliveredError("no answer", unreachable=True))
        waits.append((Silence.objects.get().until - timezone.now()).total_seconds())
    expected = [min(10 * 3**number, 15 * 60) for number in range(7)]
    assert all(0.7 * due <= took <= 1.3 * due for took, due in zip(waits, expected, strict=True)), waits


def test_an_error_response_delays_no_other_delivery(db):
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


def test_due_deliveries_are_found_by_an_index(db):
    """Only due deliveries are read, however many have been delivered."""
    if connection.vendor != "sqlite":
        pytest.skip("other databases plan by the contents of their tables, which are empty here")
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
