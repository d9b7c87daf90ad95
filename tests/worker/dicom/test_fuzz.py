"""Many damaged data sets and greetings: each is stored or refused with a status, and memory does not grow."""

import gc
import logging
import os
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import association as associations

from tests import modality
from tests.inputs import fuzz
from webapp.studies.models import Image, Study
from worker.dicom import storing

pytestmark = modality.committed_rows
QUICK = 200
#: Of the long run, which says how far it came: its first case, and how many.
FIRST, LONG = (
    int(os.environ.get(f"PNEUMOQUEUE_FUZZ_{name}", usual)) for name, usual in (("FIRST", 200), ("CASES", 5000))
)
#: Cases of one association, after which rows are deleted, lest the database becomes what is measured.
BETWEEN = 200
#: One in so many cases is a damaged request for an association.
GREETINGS = 20
STATUSES = {
    storing.SUCCESS, storing.NOT_AUTHORIZED, storing.OUT_OF_RESOURCES, storing.MISMATCH, storing.CANNOT_UNDERSTAND,
}  # fmt: skip
#: Threads of associations that may be about to end.
FEW = 8
#: Bytes by which memory may grow after the first cases.
GROWTH = 48 * 2**20


def originals() -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "399208008", "SCT", "Chest X-ray"
    deep = Dataset()
    deep.ProcedureCodeSequence = Sequence([item])
    return [
        modality.image(1, side=16, SOPInstanceUID="1.2.1"),
        modality.image(2, side=16, SOPInstanceUID="1.2.2", ProcedureCodeSequence=Sequence([item, item])),
        modality.image(3, side=16, SOPInstanceUID="1.2.3", RequestAttributesSequence=Sequence([deep])),
    ]


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses that the listener has answered."""
    given: list[int] = []
    answer = storing.answer

    def noted(*args: Any) -> Dataset:
        said = answer(*args)
        given.append(said.Status)
        return said

    monkeypatch.setattr(storing, "answer", noted)
    return given


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def greet(port: int, number: int) -> None:
    """Send a damaged request for an association, and leave."""
    request = modality.greeting(port)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(fuzz.case(number, [request]))


def run(port: int, numbers: range, answered: list[int], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    totals: Counter[str] = Counter()
    kept, first = originals(), 0
    for start in range(numbers.start, numbers.stop, BETWEEN):
        with ExitStack() as stack:
            association = stack.enter_context(modality.connected(port))
            for number in range(start, min(start + BETWEEN, numbers.stop)):
                if number % GREETINGS == 0:
                    greet(port, number)
                    totals["greeting"] += 1
                    continue
                one = random.Random(number).choice(kept)
                # Without any byte the request would never be complete.
                content = fuzz.case(number, [modality.encoded(one)]) or b"\0"
                # What goes over the network in place of the data set.
                monkeypatch.setattr(associations, "encode", lambda *_, content=content: content)
                before = len(answered)
                status = association.send_c_store(one).get("Status")
                if status is None:
                    # The sender's own library loses an answer where its thread wakes too late.
                    assert len(answered) == before + 1, (number, association.is_aborted)
                    totals["an answer that the sender lost"] += 1
                    status = answered[-1]
                    association = stack.enter_context(modality.connected(port))
                assert status in STATUSES, (number, status, association.is_aborted)
                totals[f"{status:04X}"] += 1
        Image.objects.all().delete()
        Study.objects.all().delete()
        gc.collect()
        first = first or psutil.Process().memory_info().rss
        print(f"cases before {start + BETWEEN}: {dict(totals.most_common())}", flush=True)
    left = sum("run_reactor" in thread.name for thread in threading.enumerate())
    assert left < FEW, f"{left} threads of associations are left"
    grown = psutil.Process().memory_info().rss - first
    print(f"\n{len(numbers)} cases: {dict(totals.most_common())}, memory grew by {grown / 2**20:.0f} MB")
    assert grown < GROWTH
    return totals


@pytest.mark.long
def test_each_damaged_data_set_has_a_status(port: int, answered: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(run(port, range(QUICK), answered, monkeypatch)) >= 4


@pytest.mark.fuzz
def test_each_of_very_many_damaged_data_sets_has_a_status(
    port: int, answered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(port, range(FIRST, FIRST + LONG), answered, monkeypatch)
