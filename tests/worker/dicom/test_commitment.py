"""Orthanc is asked for storage commitment, and reports to the listener over an association of its own."""

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


@pytest.mark.parametrize("is_stored", [True, False])
def test_orthanc_reports_what_it_stores(
    department: Department, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_stored: bool
) -> None:
    monkeypatch.setattr(commitment, "SAME_ASSOCIATION_SECONDS", 0.1)
    image = modality.image(SOPClassUID=SecondaryCaptureImageStorage)
    listener = {"AET": "PNEUMOQUEUE", "Host": "127.0.0.1", "Port": port}
    with orthancs.running(tmp_path, DicomAet="ARCHIVE", DicomModalities={"us": listener}) as orthanc:
        destination = Destination.objects.create(
            department=department,
            name="PACS",
            host="127.0.0.1",
            port=orthanc.port,
            called_ae="ARCHIVE",
            commitment=True,
        )
        assert sending.transfer(destination, [image]) == "stored DX"
        sent = Delivery.objects.create(
            kind="dicom", key="result", payload={"event": "dicom.result", "image": None}, state=State.DELIVERED,
            destination=str(destination.pk), next_attempt_at=timezone.now(), delivered_at=timezone.now(),
            expires_at=timezone.now() + timedelta(days=1),
        )  # fmt: skip
        commitments.ask_for(sent, [(image.SOPClassUID, image.SOPInstanceUID if is_stored else generate_uid())])
        deliver()
        deadline = time.monotonic() + 20
        while access.deliveries(destination).get(pk=sent.pk).committed is None and time.monotonic() < deadline:
            time.sleep(0.2)
        make_due()
        deliver()
    found = access.deliveries(destination).get(pk=sent.pk)
    assert found.committed is is_stored
    assert found.state == (State.DELIVERED if is_stored else State.WAITING) or found.last_error
