"""Adaptive batches: which messages they hold, and what happens to the messages of lost batches."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import pytest

from tests.worker.batches import Worker


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_an_idle_device_gets_a_message_at_once(worker: Worker) -> None:
    worker.deliver("one")
    assert worker.batches == [["one"]]


def test_messages_of_one_turn_of_the_event_loop_go_together(worker: Worker) -> None:
    worker.deliver("one", "two", "three")
    assert worker.batches == [["one", "two", "three"]]


def test_messages_gather_while_the_device_is_busy(worker: Worker) -> None:
    worker.deliver("one")
    worker.jobs[0].accept()
    for name in ("two", "three", "four"):
        worker.deliver(name)
        assert worker.batches == [["one"]]
    worker.finish()
    assert worker.batches == [["one"], ["two", "three", "four"]]


def test_messages_beyond_a_full_batch_go_with_the_next(worker: Worker) -> None:
    worker.deliver(*"abcdef")
    worker.finish()
    worker.finish()
    assert worker.batches == [["a", "b", "c", "d"], ["e", "f"]]
    assert worker.read == worker.batches


def test_lanes_follow_queues(worker: Worker) -> None:
    worker.deliver("busy")
    worker.deliver("bulk", queue="infer.bulk")
    worker.deliver("someone waits")
    worker.deliver("suspect", alone=True)
    for _ in range(3):
        worker.finish()
    assert sorted(worker.batches[1:]) == [["someone waits", "bulk"], ["suspect"]]


def test_each_message_is_acknowledged_once_and_only_when_it_is_done(worker: Worker) -> None:
    worker.deliver("one", "two")
    worker.jobs[0].accept()
    assert worker.acknowledged == []
    worker.finish()
    assert worker.acknowledged == ["one", "two"]
    worker.deliver("three")
    worker.finish()
    assert worker.acknowledged == ["one", "two", "three"]


def test_the_device_does_not_wait_for_acknowledgements(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.deliver("one")
    worker.deliver("two")
    acknowledged_before: list[list[str]] = []
    send = worker.task._pool.apply_async
    monkeypatch.setattr(
        worker.task._pool,
        "apply_async",
        lambda *args, **options: (acknowledged_before.append(list(worker.acknowledged)), send(*args, **options)),
    )
    worker.finish()
    assert acknowledged_before == [[]]
    assert worker.acknowledged == ["one"]


def test_a_task_that_raises_frees_the_device(worker: Worker) -> None:
    """Its images are still in the database, from where the reconciler sends them again."""
    worker.deliver("bad")
    worker.deliver("good")
    worker.finish()
    worker.finish()
    assert worker.read == [["bad"], ["good"]]
    assert worker.acknowledged == ["bad", "good"]
    assert worker.failed == [["bad"]], "what it has claimed has to be released"
    ends = [(kind, name) for kind, name in worker.events if kind in ("task-failed", "task-succeeded")]
    assert ends == [("task-failed", "bad"), ("task-succeeded", "good")]


def test_each_batch_has_a_claim_of_its_own(worker: Worker) -> None:
    worker.deliver("one")
    worker.finish()
    worker.deliver("two")
    worker.finish()
    worker.deliver("three")
    worker.jobs[-1].accept()
    worker.jobs[-1].lose()
    assert len({*worker.claims, *worker.lost_claims}) == 3


def test_batches_shrink_to_what_the_machine_reads_in_time(worker: Worker) -> None:
    worker.deliver("busy")
    worker.deliver(*"abcde")
    worker.largest = 2
    for _ in range(3):
        worker.finish()
    assert worker.batches == [["busy"], ["a", "b"], ["c", "d"], ["e"]]


def test_a_lost_child_is_reported_and_its_batch_read_one_by_one(worker: Worker) -> None:
    worker.deliver("one", "two", "three")
    worker.jobs[0].accept()
    worker.jobs[0].lose()
    assert worker.lost == [["one", "two", "three"]]
    assert worker.acknowledged == []
    worker.turn()
    for _ in range(3):
        worker.finish()
    assert worker.batches[1:] == [["one"], ["two"], ["three"]]
    assert worker.acknowledged == ["one", "two", "three"]


def test_one_bulk_message_serves_all_batches_until_one_has_places_left(worker: Worker) -> None:
    worker.images = 4
    worker.deliver("one", "two", queue="infer.bulk")
    assert worker.acknowledged == ["two"], "it says nothing new, and must take no place of an interactive message"
    for _ in range(3):
        worker.finish()
    assert worker.batches == [["one"]] * 4
    assert worker.acknowledged == ["two"]
    worker.images = 3
    worker.deliver("three", queue="infer.bulk")
    worker.finish()
    assert worker.batches[4:] == [["three"]], "its image may have come after the batch looked for images"
    worker.finish()
    assert worker.acknowledged == ["two", "one", "three"]
    assert len(worker.batches) == 5


def test_bulk_messages_of_a_lost_batch_are_kept(worker: Worker) -> None:
    worker.deliver("one", queue="infer.bulk")
    worker.jobs[0].accept()
    worker.jobs[0].lose()
    worker.turn()
    assert worker.acknowledged == []
    worker.finish()
    assert worker.batches[1:] == [["one"]], "the other images of the batch are sent again separately"
    assert worker.acknowledged == ["one"]


def test_bulk_messages_of_an_earlier_connection_are_left_to_the_broker(worker: Worker) -> None:
    worker.images = 4
    worker.deliver("one", queue="infer.bulk")
    worker.jobs[0].accept()
    worker.connect()
    worker.jobs[0].finish()
    worker.turn()
    assert len(worker.batches) == 1
    assert worker.acknowledged == []


def test_other_messages_go_between_the_suspects(worker: Worker) -> None:
    worker.deliver("one", "two")
    worker.deliver(*"abcdef")
    worker.jobs[0].accept()
    worker.jobs[0].lose()
    worker.turn()
    for _ in range(4):
        worker.finish()
    assert worker.batches[1:] == [["a", "b", "c", "d"], ["one"], ["e", "f"], ["two"]]


def test_a_failed_report_of_a_lost_batch_does_not_stop_the_work(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(requests: Collection[Any], claim: UUID) -> None:
        raise OSError("no database")

    monkeypatch.setattr(worker.task, "on_batch_lost", fail)
    worker.deliver("one")
    with pytest.raises(OSError, match="no database"):
        worker.jobs[0].lose()
    worker.turn()
    worker.finish()
    assert worker.read == [["one"]]


def test_a_reconnection_empties_the_buffer_and_reads_nothing_twice(worker: Worker) -> None:
    worker.deliver("in hand")
    worker.jobs[0].accept()
    worker.deliver("gathered")
    worker.connect()
    worker.deliver("gathered")  # again, by the broker
    assert worker.batches == [["in hand"]], "the device is still busy"
    worker.jobs[0].finish()
    worker.turn()
    worker.finish()
    assert worker.read == [["in hand"], ["gathered"]]


def test_messages_that_had_not_left_the_buffer_are_not_read_twice_either(worker: Worker) -> None:
    worker.turn = lambda: None  # the connection breaks before the loop turns
    worker.deliver("one", "two")
    del worker.turn
    worker.connect()
    worker.deliver("one", "two")
    assert worker.batches == [["one", "two"]]


def test_a_batch_that_no_child_had_taken_does_not_block_after_a_reconnection(worker: Worker) -> None:
    worker.deliver("one")  # the pool drops it when the connection breaks
    worker.connect()
    worker.deliver("one")
    worker.finish()
    assert worker.read == [["one"]]


def test_a_batch_of_an_earlier_connection_does_not_free_the_device_of_a_later_one(worker: Worker) -> None:
    worker.deliver("one")
    worker.connect()
    worker.deliver("one")
    worker.deliver("two")
    worker.jobs[0].finish()
    worker.turn()
    assert worker.batches == [["one"], ["one"]]


def test_a_batch_has_a_time_limit(worker: Worker) -> None:
    worker.deliver("one")
    assert worker.jobs[0].options["timeout"] == worker.task.batch_time_limit > 0


def test_flower_gets_events_of_every_message(worker: Worker) -> None:
    worker.deliver("one", "two")
    worker.jobs[0].accept()
    worker.jobs[0].lose()
    worker.turn()
    worker.finish()
    events_of_first = [kind for kind, name in worker.events if name == "one"]
    assert events_of_first == ["task-received", "task-started", "task-failed", "task-started", "task-succeeded"]
    assert [kind for kind, name in worker.events if name == "two"] == events_of_first[:3]


def test_a_broken_event_dispatcher_does_not_stop_the_work(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_names", {})  # the dispatcher now raises KeyError
    worker.deliver("one")
    worker._names.clear()
    worker.finish()
    assert worker.acknowledged == ["one"]
    assert worker.events == [("task-received", "one")]
