"""Which messages make up the next batch."""

from collections import Counter
from types import SimpleNamespace

import pytest

from worker.infer.batching import Lanes


def message(name: str, *, bulk: bool = False, alone: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        name=name,
        kwargs={"alone": True} if alone else {},
        delivery_info={"routing_key": "infer.bulk" if bulk else "infer.interactive"},
    )


def filled(max_batch: int, *, interactive: int = 0, bulk: int = 0, alone: int = 0) -> Lanes:
    lanes = Lanes(max_batch)
    for number in range(bulk):
        lanes.add(message(f"b{number}", bulk=True))
    for number in range(interactive):
        lanes.add(message(f"i{number}"))
    for number in range(alone):
        lanes.add(message(f"a{number}", alone=True))
    return lanes


def names(batch: list[SimpleNamespace]) -> list[str]:
    return [request.name for request in batch]


def drained(lanes: Lanes) -> list[list[str]]:
    batches = []
    while len(lanes):
        batches.append(names(lanes.next_batch()))
        assert batches[-1], "messages wait and none is taken"
    return batches


def test_nothing_waits() -> None:
    lanes = Lanes(4)
    assert len(lanes) == 0
    assert lanes.next_batch() == []


def test_interactive_goes_first_and_each_lane_in_its_order() -> None:
    lanes = filled(16, interactive=3, bulk=3)
    assert names(lanes.next_batch()) == ["i0", "i1", "i2", "b0", "b1", "b2"]


def test_a_batch_holds_no_more_than_it_may() -> None:
    assert [len(batch) for batch in drained(filled(8, interactive=11, bulk=9))] == [8, 8, 4]
    assert [len(batch) for batch in drained(filled(8, bulk=20))] == [8, 8, 4]
    assert [len(batch) for batch in drained(filled(8, interactive=20))] == [8, 8, 4]


def test_bulk_keeps_a_quarter_of_each_batch_and_no_more() -> None:
    lanes = filled(16, interactive=40, bulk=40)
    for _ in range(3):
        assert Counter(name[0] for name in names(lanes.next_batch())) == {"i": 12, "b": 4}


def test_bulk_leaves_the_share_that_it_does_not_need() -> None:
    assert Counter(name[0] for name in names(filled(16, interactive=40, bulk=1).next_batch())) == {"i": 15, "b": 1}
    assert Counter(name[0] for name in names(filled(16, interactive=2, bulk=40).next_batch())) == {"i": 2, "b": 14}


@pytest.mark.parametrize("max_batch", [1, 2, 3, 16])
def test_neither_lane_starves_while_the_other_is_never_empty(max_batch: int) -> None:
    lanes = filled(max_batch, interactive=10 * max_batch, bulk=10 * max_batch, alone=10)
    taken: Counter[str] = Counter()
    for turn in range(40):
        lanes.add(message(f"i+{turn}"))
        lanes.add(message(f"b+{turn}", bulk=True))
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
    lanes.add(message("later", alone=True))
    lanes.suspect(batch)
    assert drained(lanes) == [["i0"], ["i1"], ["later"]]


def test_bulk_takes_every_fourth_turn_where_batches_hold_one() -> None:
    batches = drained(filled(1, interactive=6, bulk=3))
    assert {len(batch) for batch in batches} == {1}
    assert "".join(batch[0][0] for batch in batches) == "iiibiiibb"
