"""Results are sent to each PACS of a department once, even if another PACS is unreachable."""

import socket
import time
from uuid import uuid4

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from tests.worker.results import pacs
from tests.worker.results.outbox import announce, deliver, free_port, make_due
from webapp.accounts.identity import Identity
from webapp.departments.models import Department
from webapp.dicom.models import Destination, Revision
from webapp.dicom.results import PICTURE
from webapp.dicom.services import destinations
from webapp.reviews.services import ask_for_second, review
from webapp.studies.choices import Status
from webapp.studies.models import Image, Reading
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.services import reading
from webapp.studies.services.results import Model, Result
from worker.deliver import delivering
from worker.dicom import associating

NOBODY = Identity()


def revisions(image):
    return list(Revision.objects.filter(image=image).order_by("number").values_list("number", "group", "verdict"))


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_a_result_that_is_written_goes_to_each_destination_once(dicom_image, destination, archive):
    image = dicom_image(status=Status.RUNNING, group="")
    token = uuid4()
    Reading.objects.filter(image=image).update(state="running", claim=token, group="")
    with pacs.running(ae_title="VIEWER") as viewer:
        destination(archive.port)
        destination(viewer.port, name="Viewer", called_ae="VIEWER", sends="picture")
        model = Model("vgg16-pneumonia-1.2.0", 0.4, "balanced", {"balanced": 0.4, "screening": 0.2})
        found = Result(image.pk, {"PNEUMONIA": 0.9}, 0.9, "PNEUMONIA", heatmap=bytes(range(196)))
        assert reading.succeed(token, [found], model, seconds=1.0) == 1
        # The announcement of the finding has no receivers.
        assert deliver() == {"delivered": 4}
        assert archive.modalities() == ["SR", "OT"]
        assert viewer.modalities() == ["OT"]
        # If it is announced again, as after a crash, it is not sent again.
        announce(image)
        assert deliver() == {"delivered": 1}
        assert (archive.received, viewer.received) == (2, 1)
    assert revisions(image) == [(1, "positive", "")]


def test_an_overruling_verdict_is_sent_and_an_agreeing_one_is_not(dicom_image, destination, archive, reader):
    destination(archive.port)
    image = dicom_image()
    announce(image)
    review(image, reader, "PNEUMONIA", kind="viral")
    deliver()
    assert archive.modalities() == ["SR", "OT"]
    review(image, reader, "NORMAL")
    assert set(deliver()) == {"delivered"}
    assert archive.modalities() == ["SR", "OT", "SR", "KO"]
    # While a second reader is awaited, what was sent stays valid.
    assert ask_for_second(reader, [image]) == 1
    deliver()
    assert len(archive.stored) == 4
    review(image, reader, "PNEUMONIA")
    Image.objects.filter(pk=image.pk).update(stage="done", verdict="PNEUMONIA")
    announce(image)
    deliver()
    # The final verdict agrees with the model: the model's report is valid again, under a new UID.
    assert archive.modalities()[4:] == ["SR", "OT", "KO"]
    assert revisions(image) == [(1, "positive", ""), (2, "positive", "NORMAL"), (3, "positive", "")]


def test_a_verdict_that_agrees_with_an_unreliable_result_is_sent(dicom_image, destination, archive, reader):
    destination(archive.port)
    image = dicom_image()
    Reading.objects.update(warnings=[{"code": "age_outside_training", "detail": "x"}])
    announce(image)
    deliver()
    review(image, reader, "PNEUMONIA")
    deliver()
    assert archive.modalities() == ["SR", "OT", "SR", "KO"]
    assert revisions(image) == [(1, "positive", ""), (2, "positive", "PNEUMONIA")]


@pytest.mark.long
def test_nothing_is_sent_for_other_images_or_without_a_destination(
    dicom_image, upload, department, destination, archive
):
    image = dicom_image()
    announce(image)
    assert deliver() == {"delivered": 1}
    assert revisions(image) == [(1, "positive", "")]
    elsewhere = Department.objects.create(name="Other", slug="other")
    Image.objects.filter(pk=image.pk).update(department=elsewhere)
    destination(archive.port)
    picture_file = upload(guest=None, department=department, status=Status.SUCCEEDED)
    announce(image, picture_file)
    assert deliver() == {"delivered": 1}
    assert Revision.objects.count() == 1
    assert archive.received == 0


def test_an_unusable_image_is_reported_without_a_picture(dicom_image, destination, archive):
    destination(archive.port)
    with pacs.running() as viewer:
        destination(viewer.port, name="Viewer", sends="picture")
        announce(dicom_image(group="unusable"))
        assert deliver() == {"delivered": 2, "discarded": 1}
        assert (archive.modalities(), viewer.received) == (["SR"], 0)


# --- destinations that are unreachable, slow, or refuse -------------------------------------------------------------


def test_an_unreachable_destination_gets_everything_later_and_delays_no_other(dicom_image, destination, archive):
    port = free_port()
    unreachable = destination(port, name="Away")
    destination(archive.port)
    for number in range(3):
        announce(dicom_image(number))
    assert deliver() == {"delivered": 6, "failed": 1}
    assert len(archive.stored) == 6
    announce(dicom_image(3))
    # The unreachable destination is not even tried meanwhile.
    assert deliver() == {"delivered": 2}
    unreachable.refresh_from_db()
    assert "cannot be reached" in unreachable.last_outcome
    with pacs.running(port) as back:
        make_due()
        assert deliver() == {"delivered": 4}
        assert set(back.stored) == set(archive.stored)


@pytest.mark.long
def test_a_silent_destination_delays_others_only_briefly(dicom_image, destination, archive, monkeypatch):
    monkeypatch.setattr(associating, "AGREE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        destination(silent.getsockname()[1], name="Silent")
        destination(archive.port)
        announce(dicom_image(1), dicom_image(2))
        began = time.monotonic()
        outcome = deliver()
        assert time.monotonic() - began < 20, "even a busy machine needs less"
    assert outcome == {"delivered": 3, "failed": 1}, "it is tried once, although two results are for it"
    assert len(archive.stored) == 4


@pytest.mark.parametrize(
    ("how", "state", "error"),
    [
        ({"status": 0xC000}, State.WAITING, "refuses"),
        ({"status": 0xA700}, State.WAITING, "no room"),
        ({"status": 0x0122}, State.DEAD, "refuses"),
        ({"classes": (PICTURE.class_uid,)}, State.DEAD, "does not take Comprehensive 3D SR"),
        ({"ae_title": "ANOTHER"}, State.WAITING, "refuses the association"),
    ],
)
def test_a_refusal_is_reported_and_retried_if_that_may_help(dicom_image, destination, how, state, error):
    status = how.pop("status", 0)
    with pacs.running(**how) as refusing:
        refusing.status = status
        receiver = destination(refusing.port)
        announce(dicom_image())
        assert deliver() == {"delivered": 1, "failed": 1}
    row = Delivery.objects.get(kind="dicom")
    assert (row.state, error in row.last_error) == (state, True), row.last_error
    receiver.refresh_from_db()
    assert receiver.last_outcome == row.last_error


def test_a_result_is_not_sent_after_its_correction(dicom_image, destination, archive, reader):
    destination(archive.port)
    image = dicom_image()
    announce(image)
    archive.status = 0xC000
    assert deliver() == {"delivered": 1, "failed": 1}
    archive.status = 0
    review(image, reader, "NORMAL")
    assert set(deliver()) == {"delivered"}
    assert archive.modalities() == ["SR", "KO"]
    make_due()
    assert deliver() == {"discarded": 1}
    assert archive.modalities() == ["SR", "KO"]


@pytest.mark.long
def test_a_destination_that_takes_implicit_vr_only_gets_it(dicom_image, destination):
    with pacs.running(syntax=ImplicitVRLittleEndian) as old:
        destination(old.port)
        announce(dicom_image())
        assert deliver() == {"delivered": 2}
        assert old.modalities() == ["SR", "OT"]


# --- by hand --------------------------------------------------------------------------------------------------------


def test_a_test_asks_whether_the_destination_answers(destination, archive):
    destinations.test(NOBODY, destination(archive.port))
    assert deliver() == {"delivered": 1}
    assert archive.received == 0
    [attempt] = Delivery.objects.get().attempts_made
    assert attempt["outcome"] == "answered the test"


@pytest.mark.long
def test_sent_or_abandoned_results_are_sent_again_under_the_same_uids(dicom_image, destination, archive):
    receiver = destination(archive.port)
    archive.status = 0x0122
    announce(dicom_image())
    deliver()
    dead = Delivery.objects.get(kind="dicom")
    assert dead.state == State.DEAD
    archive.status = 0
    for times in (1, 2):
        destinations.send_again(NOBODY, receiver, dead)
        assert deliver() == {"delivered": 1}
        assert (archive.received, len(archive.stored)) == (1 + 2 * times, 2)


def test_a_destination_that_is_switched_off_or_deleted_gets_nothing(dicom_image, destination, archive):
    receiver = destination(archive.port)
    announce(dicom_image(1))
    # Only the event, and not yet the deliveries that follow from it.
    delivering.deliver(outbox.claim("test"))
    destinations.change(NOBODY, receiver, {"enabled": False})
    assert deliver() == {"failed": 1}
    announce(dicom_image(2))
    assert deliver() == {"delivered": 1}
    destinations.change(NOBODY, receiver, {"enabled": True})
    announce(dicom_image(3))
    delivering.deliver(outbox.claim("test"))
    destinations.delete(NOBODY, receiver)
    assert deliver() == {"discarded": 1}
    assert archive.received == 0
    assert not Destination.objects.exists()
