"""Neither logs nor warnings of what makes and sends objects name a patient."""

import importlib
import logging
import warnings

import pytest

from tests.worker.results import source_files
from tests.worker.results.outbox import announce, deliver
from webapp.studies.outbox.models import Delivery, State
from worker.deliver import dicom
from worker.deliver.dicom import making, report


@pytest.fixture(autouse=True)
def _log_everything(caplog):
    caplog.set_level(logging.DEBUG)


def test_a_name_without_a_caret_causes_no_warning(dicom_image, make_revision, caplog):
    image = dicom_image(content=source_files.cr(PatientName="MARKED NAME", ReferringPhysicianName="MARKED DOCTOR"))
    make_revision(image)
    revision = make_revision(image, 2, verdict="NORMAL")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        importlib.reload(dicom)  # as in a process that makes objects for the first time
        assert len(making.make(revision)) == 2
        assert len(making.make(image.revisions.get(number=1))) == 2
    assert [str(warning.message) for warning in caught] == []
    assert "MARKED" not in caplog.text
    assert image.instance_uid not in caplog.text


@pytest.fixture
def broken(monkeypatch):
    """Fail with an error whose text quotes a name."""

    def fail(*_):
        raise RuntimeError(source_files.PATIENT)

    monkeypatch.setattr(report, "make", fail)


@pytest.mark.usefixtures("broken")
@pytest.mark.django_db(transaction=True)
def test_an_error_of_a_delivery_is_logged_without_its_text(dicom_image, destination, caplog):
    image = dicom_image()
    destination(1)  # no connection is tried
    announce(image)
    assert deliver() == {"delivered": 1, "failed": 1}
    delivery = Delivery.objects.exclude(state=State.DELIVERED).get()
    assert delivery.last_error == "internal error (RuntimeError); see the log"
    assert f"delivering {delivery.pk} failed: RuntimeError" in caplog.text
    assert "in fail" in caplog.text
    assert source_files.PATIENT not in caplog.text


@pytest.mark.usefixtures("broken")
@pytest.mark.django_db(transaction=True)
def test_an_error_of_making_objects_on_request_is_logged_without_its_text(dicom_image, caplog):
    image = dicom_image()
    announce(image)
    deliver()
    assert making.keep(image.revisions.get().pk) == 0
    assert f"making objects of image {image.pk} failed: RuntimeError" in caplog.text
    assert source_files.PATIENT not in caplog.text
