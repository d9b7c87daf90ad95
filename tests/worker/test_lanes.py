"""Which messages make up the next batch."""

from collections import Counter

import pytest

from worker.infer import batching
from worker.infer.batching import Lanes


class Message:
    """What lanes look at of a message."""

    def __init__(self, name: str, *, bulk: bool = False, alone: bool = False) -> None:
        self.name = name
        self.kwargs = {"alone": True} if alone else {}
        self.delivery_info = {"routing_key": "infer.bulk" if bulk else "infer.interactive"}


def filled(max_batch: int, *, interactive: int = 0, bulk: int = 0, alone: int = 0) -> Lanes:
    lanes = Lanes(max_batch)
    for number in range(bulk):
        lanes.add(Message(f"b{number}", bulk=True))
    for number in range(interactive):
        lanes.add(Message(f"i{number}"))
    for number in range(alone):
        lanes.add(Message(f"a{number}", alone=True))
    return lanes


def names(batch: list[Message]) -> list[str]:
    return [request.name for request in batch]


def drained(lanes: Lanes) -> list[list[str]]:
    """The batches until nothing waits, if there is no bulk image beyond the first batch that has places for some."""
    batches = []
    while len(lanes):
        batches.append(names(lanes.next_batch()))
        assert batches[-1], "messages wait and none is taken"
        if batches[-1][-1].startswith("b"):
            lanes.served(list(lanes.bulk), full=False)
    return batches


def test_nothing_waits() -> None:
    lanes = Lanes(4)
    assert len(lanes) == 0
    assert lanes.next_batch() == []


def test_interactive_goes_first_and_each_lane_in_its_order() -> None:
    lanes = filled(16, interactive=3, bulk=3)
    assert names(lanes.next_batch()) == ["i0", "i1", "i2", "b0"], "one stands for all bulk images"


def test_a_batch_holds_no_more_than_it_may() -> None:
    assert [len(batch) for batch in drained(filled(8, interactive=20))] == [8, 8, 4]


def test_bulk_keeps_a_quarter_of_each_batch_and_no_more() -> None:
    lanes = filled(16, interactive=40, bulk=1)
    for _ in range(3):
        assert Counter(name[0] for name in names(lanes.next_batch())) == {"i": 12, "b": 1}


def test_messages_of_bulk_images_stay_until_a_batch_has_places_left() -> None:
    lanes = filled(4, bulk=3)
    [first] = lanes.next_batch()
    there = list(lanes.bulk)
    assert lanes.served(there, full=True) == []
    assert lanes.next_batch() == [first]
    lanes.add(Message("later", bulk=True))
    assert names(lanes.served(there, full=False)) == ["b0", "b1", "b2"]
    assert names(lanes.next_batch()) == ["later"], "its image may have come after the batch had looked"


def test_a_message_of_bulk_images_is_not_kept_for_as_long_as_a_broker_waits() -> None:
    lanes = filled(4, bulk=2)
    lanes.bulk[next(iter(lanes.bulk))] -= batching.KEEP_SECONDS + 1
    assert names(lanes.served(list(lanes.bulk), full=True)) == ["b0"]
    assert names(list(lanes.bulk)) == ["b1"]


@pytest.mark.parametrize("max_batch", [1, 2, 3, 16])
def test_neither_lane_starves_while_the_other_is_never_empty(max_batch: int) -> None:
    lanes = filled(max_batch, interactive=10 * max_batch, bulk=10 * max_batch, alone=10)
    taken: Counter[str] = Counter()
    for turn in range(40):
        lanes.add(Message(f"i+{turn}"))
        taken.update(name[0] for name in names(lanes.next_batch()))
    assert taken["b"] >= 5
    assert taken["i"] >= 5
    assert taken["a"] == 10


def test_those_to_be_read_alone_take_every_second_turn() -> None:
    batches = drained(filled(4, interactive=8, bulk=1, alone=5))
    assert [batch for batch in batches if batch[0].startswith("a")] == [[f"a{number}"] for number in range(5)]
    kinds = ["a" if batch[0].startswith("a") else "-" for batch in batches]
    assert kinds[:6] == ["a", "-", "a", "-", "a", "-"]


def test_suspects_go_one_by_one_in_their_order() -> None:
    lanes = filled(4, interactive=4)
    batch = lanes.next_batch()
    lanes.suspect(batch)
    assert drained(lanes) == [["i0"], ["i1"], ["i2"], ["i3"]]


def test_suspects_go_before_those_that_wait_to_be_read_alone_already() -> None:
    lanes = filled(4, interactive=2)
    batch = lanes.next_batch()
    lanes.add(Message("later", alone=True))
    lanes.suspect(batch)
    assert drained(lanes) == [["i0"], ["i1"], ["later"]]


def test_bulk_takes_every_fourth_turn_where_batches_hold_one() -> None:
    lanes = filled(1, interactive=6, bulk=1)
    assert "".join(name[0] for _ in range(10) for name in names(lanes.next_batch())) == "iiibiiibbb"
