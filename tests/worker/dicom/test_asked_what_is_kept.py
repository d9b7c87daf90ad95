"""Storage commitment: a sender asks what is stored, and gets the report over its association or at its address."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, generate_uid
from pynetdicom import AE, evt

from tests import modality
from tests import orthanc as orthancs
from tests.worker.results.outbox import deliver, free_port
from webapp.departments.models import Department
from webapp.dicom.models import Peer
from webapp.dicom.services import commitments
from webapp.studies.outbox.models import Delivery
from worker.dicom import committing, receiver

pytestmark = modality.committed_rows
NO_SUCH_INSTANCE, OTHER_CLASS = 0x0112, 0x0119
#: Seconds to wait where no report may come: five times as long as a report takes.
SHORT = 5 * receiver.REPORT_SECONDS
Reports = SimpleQueue[tuple[int, Dataset]]


def handler(reports: Reports) -> Any:
    def report(event: evt.Event) -> tuple[int, None]:
        reports.put((event.event_type, event.event_information))
        return committing.SUCCESS, None

    return evt.EVT_N_EVENT_REPORT, report


def request(*objects: tuple[str, str]) -> Dataset:
    dataset = Dataset()
    dataset.TransactionUID = generate_uid()
    dataset.ReferencedSOPSequence = [committing.reference(*uids) for uids in objects]
    return dataset


@contextmanager
def connected(port: int, reports: Reports, ae_title: str = "SCANNER") -> Iterator[Any]:
    entity = AE(ae_title)
    entity.add_requested_context(committing.CLASS)
    association = entity.associate("127.0.0.1", port, ae_title="PNEUMOQUEUE", evt_handlers=[handler(reports)])
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def ask(port: int, content: Dataset, timeout: float = 3) -> tuple[int, int, Dataset]:
    """Send a request. Return its status, and the type and content of the report over the same association.

    The type is 0 if no report came.
    """
    reports = Reports()
    with connected(port, reports) as association:
        status, _ = association.send_n_action(content, committing.REQUEST, committing.CLASS, committing.INSTANCE)
        try:
            return int(status.Status), *reports.get(timeout=timeout)
        except Empty:
            return int(status.Status), 0, Dataset()


def failures(report: Dataset) -> list[tuple[str, int]]:
    return [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in report.get("FailedSOPSequence", ())]


def stored(report: Dataset) -> list[str]:
    return [item.ReferencedSOPInstanceUID for item in report.get("ReferencedSOPSequence", ())]


def test_a_sender_gets_the_report_over_its_association(port: int) -> None:
    image, absent = modality.image(), generate_uid()
    assert modality.send(port, image) == [0]
    content = request((image.SOPClassUID, image.SOPInstanceUID))
    status, kind, report = ask(port, content)
    assert (status, kind) == (committing.SUCCESS, committing.EVERYTHING_KEPT)
    assert report.TransactionUID == content.TransactionUID
    assert (stored(report), failures(report)) == ([image.SOPInstanceUID], [])
    _, kind, report = ask(port, request((image.SOPClassUID, absent), (CTImageStorage, image.SOPInstanceUID)))
    assert (kind, stored(report)) == (committing.SOMETHING_FAILED, [])
    assert failures(report) == [(absent, NO_SUCH_INSTANCE), (image.SOPInstanceUID, OTHER_CLASS)]


def test_images_of_another_department_are_reported_as_unknown(port: int) -> None:
    image = modality.image()
    assert modality.send(port, image) == [0]
    other = Department.objects.create(name="Other", slug="other")
    Peer.objects.filter(ae_title="SCANNER").update(department=other)
    _, _, report = ask(port, request((image.SOPClassUID, image.SOPInstanceUID)))
    assert failures(report) == [(image.SOPInstanceUID, NO_SUCH_INSTANCE)]


@pytest.mark.parametrize(("objects", "status"), [("nothing", 0x0115), ("no UID", 0x0115), ("too many", 0x0213)])
def test_a_request_that_cannot_be_answered_is_refused(port: int, settings: Any, objects: str, status: int) -> None:
    settings.MAX_STUDY_FILES = 2
    too_many = [(DigitalXRayImageStorageForPresentation, f"1.2.{number}") for number in range(1, 4)]
    content = request(*{"nothing": [], "no UID": [("1.2", "no UID")], "too many": too_many}[objects])
    assert ask(port, content, SHORT)[:2] == (status, 0)


def test_a_sender_that_asks_without_end_gets_one_thread_and_a_limit(
    port: int, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MAX_STUDY_FILES = 10
    released, reports = Event(), Reports()

    def slow_reasons(department: Department, objects: Any) -> list[int]:
        assert released.wait(10)
        return [0] * len(objects)

    monkeypatch.setattr(commitments, "reasons", slow_reasons)
    before = set(threading.enumerate())
    contents = [request(("1.2", f"1.{number}"), ("1.2", f"2.{number}")) for number in range(1, 9)]
    with connected(port, reports) as association:
        for content, expected in zip(contents, [committing.SUCCESS] * 5 + [committing.TOO_MANY] * 3, strict=True):
            status, _ = association.send_n_action(content, committing.REQUEST, committing.CLASS, committing.INSTANCE)
            assert status.Status == expected
        time.sleep(receiver.REPORT_SECONDS)
        assert [thread.name for thread in set(threading.enumerate()) - before].count("report") == 1
        released.set()
        arrived = [reports.get(timeout=5)[1].TransactionUID for _ in range(5)]
        assert arrived == [content.TransactionUID for content in contents[:5]]
        # There is room again.
        association.send_n_action(contents[5], committing.REQUEST, committing.CLASS, committing.INSTANCE)
        assert reports.get(timeout=5)[1].TransactionUID == contents[5].TransactionUID


def test_a_report_that_fails_does_not_hold_back_the_next_one(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (request((DigitalXRayImageStorageForPresentation, generate_uid())) for _ in range(2))
    report, quoted = committing.report, "THAPA^RAM"

    def sometimes(association: Any, asked: committing.Request, reasons: Any) -> Dataset:
        if asked.transaction_uid == first.TransactionUID:
            raise TypeError(quoted)
        return report(association, asked, reasons)

    monkeypatch.setattr(committing, "report", sometimes)
    reports = Reports()
    with connected(port, reports) as association:
        for content in (first, second):
            association.send_n_action(content, committing.REQUEST, committing.CLASS, committing.INSTANCE)
        assert reports.get(timeout=5)[1].TransactionUID == second.TransactionUID
    assert "reporting to SCANNER failed: TypeError" in caplog.text
    assert quoted not in caplog.text


def test_a_sender_with_an_address_gets_the_report_there_once_it_is_reachable(port: int, peer: Peer) -> None:
    image, own_port, reports = modality.image(), free_port(), Reports()
    Peer.objects.filter(pk=peer.pk).update(host="127.0.0.1", port=own_port)
    assert modality.send(port, image) == [0]
    assert ask(port, request((image.SOPClassUID, image.SOPInstanceUID)), SHORT)[:2] == (committing.SUCCESS, 0)
    assert deliver() == {"failed": 1}
    entity = AE("SCANNER")
    entity.add_supported_context(committing.CLASS, scu_role=False, scp_role=True)
    server = entity.start_server(("127.0.0.1", own_port), block=False, evt_handlers=[handler(reports)])
    try:
        Delivery.objects.update(next_attempt_at="2026-01-01T00:00Z")
        assert deliver() == {"delivered": 1}
    finally:
        server.shutdown()
    kind, report = reports.get(timeout=1)
    assert (kind, stored(report)) == (committing.EVERYTHING_KEPT, [image.SOPInstanceUID])
    peer.refresh_from_db()
    assert peer.last_outcome == "confirmed 1 of 1 images"


@pytest.mark.long
@orthancs.needed
def test_orthanc_gets_the_report(port: int, peer: Peer, tmp_path: Path) -> None:
    image, absent = modality.image(), generate_uid()
    assert modality.send(port, image) == [0]
    listener = {"AET": "PNEUMOQUEUE", "Host": "127.0.0.1", "Port": port}
    with orthancs.running(tmp_path, DicomAet="SCANNER", DicomModalities={"us": listener}) as orthanc:
        Peer.objects.filter(pk=peer.pk).update(host="127.0.0.1", port=orthanc.port)
        objects = [{"SOPClassUID": image.SOPClassUID, "SOPInstanceUID": uid} for uid in (image.SOPInstanceUID, absent)]
        reply = orthanc.client.post("/modalities/us/storage-commitment", json={"DicomInstances": objects})
        assert deliver() == {"delivered": 1}
        deadline = time.monotonic() + 10
        while (found := orthanc.client.get(f"/storage-commitment/{reply.json()['ID']}").json())["Status"] == "Pending":
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert [instance["SOPInstanceUID"] for instance in found["Success"]] == [image.SOPInstanceUID]
    assert [instance["SOPInstanceUID"] for instance in found["Failures"]] == [absent]
