"""A sender asks whether its images are kept (storage commitment): it is told by its association or at its address."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
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
from webapp.studies.outbox.models import Delivery
from worker.dicom import committing, receiver

pytestmark = modality.committed_rows
NO_SUCH_INSTANCE, OTHER_CLASS = 0x0112, 0x0119
#: Where no report may come: five times as long as one takes.
SHORT = 5 * receiver.REPORT_SECONDS
Told = SimpleQueue[tuple[int, Dataset]]


def handler(told: Told) -> Any:
    def report(event: evt.Event) -> tuple[int, None]:
        told.put((event.event_type, event.event_information))
        return committing.SUCCESS, None

    return evt.EVT_N_EVENT_REPORT, report


def request(*objects: tuple[str, str]) -> Dataset:
    made = Dataset()
    made.TransactionUID = generate_uid()
    made.ReferencedSOPSequence = [committing.reference(*uids) for uids in objects]
    return made


@contextmanager
def connected(port: int, told: Told, ae_title: str = "SCANNER") -> Iterator[Any]:
    entity = AE(ae_title)
    entity.add_requested_context(committing.CLASS)
    association = entity.associate("127.0.0.1", port, ae_title="PNEUMOQUEUE", evt_handlers=[handler(told)])
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def ask(port: int, said: Dataset, patience: float = 3) -> tuple[int, int, Dataset]:
    """The status of a request, and the type and content of the report by the same association; 0 where none came."""
    told = Told()
    with connected(port, told) as association:
        status, _ = association.send_n_action(said, committing.REQUEST, committing.CLASS, committing.INSTANCE)
        try:
            return int(status.Status), *told.get(timeout=patience)
        except Empty:
            return int(status.Status), 0, Dataset()


def failures(said: Dataset) -> list[tuple[str, int]]:
    return [(one.ReferencedSOPInstanceUID, one.FailureReason) for one in said.get("FailedSOPSequence", ())]


def kept(said: Dataset) -> list[str]:
    return [one.ReferencedSOPInstanceUID for one in said.get("ReferencedSOPSequence", ())]


def test_by_its_association_a_sender_learns_what_is_kept(port: int) -> None:
    one, absent = modality.image(), generate_uid()
    assert modality.send(port, one) == [0]
    said = request((one.SOPClassUID, one.SOPInstanceUID))
    status, kind, report = ask(port, said)
    assert (status, kind) == (committing.SUCCESS, committing.EVERYTHING_KEPT)
    assert report.TransactionUID == said.TransactionUID
    assert (kept(report), failures(report)) == ([one.SOPInstanceUID], [])
    _, kind, report = ask(port, request((one.SOPClassUID, absent), (CTImageStorage, one.SOPInstanceUID)))
    assert (kind, kept(report)) == (committing.SOMETHING_FAILED, [])
    assert failures(report) == [(absent, NO_SUCH_INSTANCE), (one.SOPInstanceUID, OTHER_CLASS)]


def test_what_another_department_keeps_is_not_told(port: int) -> None:
    one = modality.image()
    assert modality.send(port, one) == [0]
    other = Department.objects.create(name="Other", slug="other")
    Peer.objects.filter(ae_title="SCANNER").update(department=other)
    _, _, report = ask(port, request((one.SOPClassUID, one.SOPInstanceUID)))
    assert failures(report) == [(one.SOPInstanceUID, NO_SUCH_INSTANCE)]


@pytest.mark.parametrize(("said", "status"), [("nothing", 0x0115), ("no UID", 0x0115), ("too many", 0x0213)])
def test_a_request_that_cannot_be_answered_is_refused(port: int, settings: Any, said: str, status: int) -> None:
    settings.MAX_STUDY_FILES = 2
    objects = [(DigitalXRayImageStorageForPresentation, f"1.2.{number}") for number in range(1, 4)]
    wanted = request(*{"nothing": [], "no UID": [("1.2", "no UID")], "too many": objects}[said])
    assert ask(port, wanted, SHORT)[:2] == (status, 0)


def test_a_sender_with_an_address_is_told_there_as_soon_as_it_can_be(port: int, peer: Peer) -> None:
    one, own, told = modality.image(), free_port(), Told()
    Peer.objects.filter(pk=peer.pk).update(host="127.0.0.1", port=own)
    assert modality.send(port, one) == [0]
    assert ask(port, request((one.SOPClassUID, one.SOPInstanceUID)), SHORT)[:2] == (committing.SUCCESS, 0)
    assert deliver() == {"failed": 1}
    entity = AE("SCANNER")
    entity.add_supported_context(committing.CLASS, scu_role=False, scp_role=True)
    server = entity.start_server(("127.0.0.1", own), block=False, evt_handlers=[handler(told)])
    try:
        Delivery.objects.update(next_attempt_at="2026-01-01T00:00Z")
        assert deliver() == {"delivered": 1}
    finally:
        server.shutdown()
    kind, answer = told.get(timeout=1)
    assert (kind, kept(answer)) == (committing.EVERYTHING_KEPT, [one.SOPInstanceUID])
    peer.refresh_from_db()
    assert peer.last_outcome == "confirmed 1 of 1 images"


@pytest.mark.long
@orthancs.needed
def test_orthanc_is_told_what_is_kept(port: int, peer: Peer, tmp_path: Path) -> None:
    one, absent = modality.image(), generate_uid()
    assert modality.send(port, one) == [0]
    us = {"AET": "PNEUMOQUEUE", "Host": "127.0.0.1", "Port": port}
    with orthancs.running(tmp_path, DicomAet="SCANNER", DicomModalities={"us": us}) as orthanc:
        Peer.objects.filter(pk=peer.pk).update(host="127.0.0.1", port=orthanc.port)
        objects = [{"SOPClassUID": one.SOPClassUID, "SOPInstanceUID": uid} for uid in (one.SOPInstanceUID, absent)]
        asked = orthanc.client.post("/modalities/us/storage-commitment", json={"DicomInstances": objects})
        assert deliver() == {"delivered": 1}
        until = time.monotonic() + 10
        while (found := orthanc.client.get(f"/storage-commitment/{asked.json()['ID']}").json())["Status"] == "Pending":
            assert time.monotonic() < until
            time.sleep(0.2)
    assert [each["SOPInstanceUID"] for each in found["Success"]] == [one.SOPInstanceUID]
    assert [each["SOPInstanceUID"] for each in found["Failures"]] == [absent]
