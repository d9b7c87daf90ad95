"""Orthanc is asked to keep what it got, and answers to the listener by an association of its own."""

import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from tests import modality
from tests import orthanc as orthancs
from tests.worker.results.outbox import deliver, make_due
from webapp.departments.models import Department
from webapp.dicom import access
from webapp.dicom.models import Destination
from webapp.dicom.services import commitments
from webapp.studies.outbox.models import Delivery, State
from worker.deliver.dicom import commitment, sending

pytestmark = [modality.committed_rows, pytest.mark.long, orthancs.needed]


@pytest.mark.parametrize("is_there", [True, False])
def test_orthanc_says_what_it_keeps(
    department: Department, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    monkeypatch.setattr(commitment, "SAME_ASSOCIATION_SECONDS", 0.1)
    one = modality.image(SOPClassUID=SecondaryCaptureImageStorage)
    us = {"AET": "PNEUMOQUEUE", "Host": "127.0.0.1", "Port": port}
    with orthancs.running(tmp_path, DicomAet="ARCHIVE", DicomModalities={"us": us}) as orthanc:
        destination = Destination.objects.create(
            department=department,
            name="PACS",
            host="127.0.0.1",
            port=orthanc.port,
            called_ae="ARCHIVE",
            commitment=True,
        )
        assert sending.transfer(destination, [one]) == "stored DX"
        sent = Delivery.objects.create(
            kind="dicom", key="result", payload={"event": "dicom.result", "image": None}, state=State.DELIVERED,
            destination=str(destination.pk), next_attempt_at=timezone.now(), delivered_at=timezone.now(),
            expires_at=timezone.now() + timedelta(days=1),
        )  # fmt: skip
        commitments.ask_for(sent, [(one.SOPClassUID, one.SOPInstanceUID if is_there else generate_uid())])
        deliver()
        until = time.monotonic() + 20
        while access.deliveries(destination).get(pk=sent.pk).committed is None and time.monotonic() < until:
            time.sleep(0.2)
        make_due()
        deliver()
    found = access.deliveries(destination).get(pk=sent.pk)
    assert found.committed is is_there
    assert found.state == (State.DELIVERED if is_there else State.WAITING) or found.last_error
