"""Many damaged data sets and association requests: each data set gets a status, and memory does not grow."""

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
#: First case and number of cases of the long run, which prints its progress.
FIRST, LONG = (
    int(os.environ.get(f"PNEUMOQUEUE_FUZZ_{name}", default)) for name, default in (("FIRST", 200), ("CASES", 5000))
)
#: Cases per association. Rows are deleted after them, so that the test does not measure the database.
PER_ASSOCIATION = 200
#: One in this many cases is a damaged association request.
GREETINGS = 20
STATUSES = {
    storing.SUCCESS, storing.NOT_AUTHORIZED, storing.OUT_OF_RESOURCES, storing.MISMATCH, storing.CANNOT_UNDERSTAND,
}  # fmt: skip
#: Number of association threads that may still be ending.
MAX_THREADS = 8
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
    """The statuses of the listener's answers."""
    statuses: list[int] = []
    answer = storing.answer

    def recorded(*args: Any) -> Dataset:
        response = answer(*args)
        statuses.append(response.Status)
        return response

    monkeypatch.setattr(storing, "answer", recorded)
    return statuses


@pytest.fixture(autouse=True)
def no_syncs_and_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def send_damaged_request(port: int, number: int) -> None:
    """Send a damaged association request, and disconnect."""
    request = modality.greeting(port)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(fuzz.case(number, [request]))


def run(port: int, numbers: range, answered: list[int], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    totals: Counter[str] = Counter()
    images, first = originals(), 0
    for start in range(numbers.start, numbers.stop, PER_ASSOCIATION):
        with ExitStack() as stack:
            association = stack.enter_context(modality.connected(port))
            for number in range(start, min(start + PER_ASSOCIATION, numbers.stop)):
                if number % GREETINGS == 0:
                    send_damaged_request(port, number)
                    totals["greeting"] += 1
                    continue
                image = random.Random(number).choice(images)
                # With no byte at all the request would never be complete.
                content = fuzz.case(number, [modality.encoded(image)]) or b"\0"
                # Send this over the network instead of the data set.
                monkeypatch.setattr(associations, "encode", lambda *_, content=content: content)
                before = len(answered)
                status = association.send_c_store(image).get("Status")
                if status is None:
                    # pynetdicom loses an answer in the sender if its thread wakes up too late.
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
        print(f"cases before {start + PER_ASSOCIATION}: {dict(totals.most_common())}", flush=True)
    remaining = sum("run_reactor" in thread.name for thread in threading.enumerate())
    assert remaining < MAX_THREADS, f"{remaining} threads of associations are left"
    grown = psutil.Process().memory_info().rss - first
    print(f"\n{len(numbers)} cases: {dict(totals.most_common())}, memory grew by {grown / 2**20:.0f} MB")
    assert grown < GROWTH
    return totals


@pytest.mark.long
def test_each_damaged_data_set_gets_a_status(port: int, answered: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(run(port, range(QUICK), answered, monkeypatch)) >= 4


@pytest.mark.fuzz
def test_each_of_very_many_damaged_data_sets_gets_a_status(
    port: int, answered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(port, range(FIRST, FIRST + LONG), answered, monkeypatch)
