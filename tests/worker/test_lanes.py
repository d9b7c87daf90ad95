"""Which messages make up the next batch."""

from collections import Counter

import pytest

from worker.infer import lanes as waiting
from worker.infer.lanes import Lanes


class Message:
    """A message, with only what lanes look at."""

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
    batches = []
    while len(lanes):
        batches.append(names(lanes.next_batch()))
        assert batches[-1], "messages wait and none is taken"
    return batches


def test_without_messages_there_is_no_batch() -> None:
    lanes = Lanes(4)
    assert len(lanes) == 0
    assert lanes.next_batch() == []


def test_interactive_goes_first_and_each_lane_in_its_order() -> None:
    lanes = filled(16, interactive=3, bulk=3)
    assert names(lanes.next_batch()) == ["i0", "i1", "i2", "b0"], "one message stands for all bulk images"


def test_a_batch_holds_no_more_than_its_maximum() -> None:
    assert [len(batch) for batch in drained(filled(8, interactive=20))] == [8, 8, 4]


def test_bulk_keeps_a_quarter_of_each_batch_and_no_more() -> None:
    lanes = filled(16, interactive=40, bulk=1)
    for _ in range(3):
        *first, last = lanes.next_batch()
        assert Counter(name[0] for name in names([*first, last])) == {"i": 12, "b": 1}
        assert lanes.done([*first, last], full=True) == first


@pytest.mark.parametrize(("slow", "batches"), [(False, [["i0", "b0"]]), (True, [["i0"], ["b0"]])])
def test_bulk_joins_a_single_interactive_image_only_if_that_takes_no_longer(
    slow: bool, batches: list[list[str]]
) -> None:
    lanes = filled(4, interactive=1, bulk=1)
    lanes.slow = slow
    assert drained(lanes) == batches


def test_batches_are_short_only_while_bulk_images_wait() -> None:
    lanes = filled(8, interactive=12, bulk=1)
    lanes.short, lanes.slow = 2, True
    assert [len(batch) for batch in drained(lanes)] == [2, 2, 8, 1]


def test_if_many_people_wait_half_of_their_images_are_read_at_once() -> None:
    lanes = filled(16, interactive=40)
    lanes.long = 4
    assert [len(batch) for batch in drained(lanes)] == [16, 12, 6, 4, 2]


@pytest.mark.parametrize("max_batch", [1, 2, 3, 4])
def test_bulk_keeps_a_quarter_of_short_batches_too(max_batch: int) -> None:
    lanes = filled(max_batch, interactive=40)
    lanes.slow = True
    taken: Counter[str] = Counter()
    for _ in range(8):
        lanes.add(Message("b", bulk=True))
        taken.update(name[0] for name in names(lanes.next_batch()))
    assert taken["b"] == 2 * max_batch if max_batch < 4 else 8
    assert taken["i"] == 8 * max_batch - taken["b"]


def test_one_bulk_message_is_as_good_as_many() -> None:
    lanes = Lanes(4)
    assert [lanes.add(Message(name, bulk=True)) for name in ("first", "second")] == [True, False]
    [first] = lanes.next_batch()
    assert lanes.add(Message("third", bulk=True)), "its image may have come after the batch looked for images"
    assert lanes.done([first], full=True) == [first]
    assert drained(lanes) == [["third"]]


def test_a_bulk_message_is_not_kept_as_long_as_a_broker_waits() -> None:
    lanes = filled(4, bulk=1)
    [first] = lanes.next_batch()
    lanes.bulk_since -= waiting.KEEP_SECONDS + 1
    assert lanes.done([first], full=True) == [first]
    assert drained(lanes) == []


@pytest.mark.parametrize("max_batch", [1, 2, 3, 16])
def test_neither_lane_starves_while_the_other_is_never_empty(max_batch: int) -> None:
    lanes = filled(max_batch, interactive=10 * max_batch, bulk=10 * max_batch, alone=10)
    taken: Counter[str] = Counter()
    for turn in range(40):
        lanes.add(Message(f"i+{turn}"))
        lanes.add(Message(f"b+{turn}", bulk=True))
        taken.update(name[0] for name in names(lanes.next_batch()))
    assert taken["b"] >= 5
    assert taken["i"] >= 5
    assert taken["a"] == 10


def test_images_to_be_read_alone_take_every_second_turn() -> None:
    batches = drained(filled(4, interactive=8, bulk=1, alone=5))
    assert [batch for batch in batches if batch[0].startswith("a")] == [[f"a{number}"] for number in range(5)]
    kinds = ["a" if batch[0].startswith("a") else "-" for batch in batches]
    assert kinds[:6] == ["a", "-", "a", "-", "a", "-"]


def test_suspects_go_one_by_one_in_their_order() -> None:
    lanes = filled(4, interactive=4)
    batch = lanes.next_batch()
    lanes.suspect(batch)
    assert drained(lanes) == [["i0"], ["i1"], ["i2"], ["i3"]]


def test_suspects_go_before_those_already_waiting_to_be_read_alone() -> None:
    lanes = filled(4, interactive=2)
    batch = lanes.next_batch()
    lanes.add(Message("later", alone=True))
    lanes.suspect(batch)
    assert drained(lanes) == [["i0"], ["i1"], ["later"]]


def test_bulk_takes_every_fourth_turn_if_batches_hold_one() -> None:
    lanes = filled(1, interactive=6)
    taken = ""
    for _ in range(10):
        lanes.add(Message("b", bulk=True))
        taken += "".join(names(lanes.next_batch()))[0]
    assert taken == "iiibiiibbb"
