"""Results on their way to the PACS of a department: once each, to each, whoever is away."""

import socket
import time
from uuid import uuid4

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from tests.worker.results import pacs
from tests.worker.results.outbox import deliver, free_port, make_due, tell
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


def kept(image):
    return list(Revision.objects.filter(image=image).order_by("number").values_list("number", "group", "verdict"))


# --- what is told ---------------------------------------------------------------------------------------------------


def test_a_result_that_is_written_goes_to_each_destination_once(came, destination, archive):
    image = came(status=Status.RUNNING, group="")
    token = uuid4()
    Reading.objects.filter(image=image).update(state="running", claim=token, group="")
    with pacs.running(ae_title="VIEWER") as viewer:
        destination(archive.port)
        destination(viewer.port, name="Viewer", called_ae="VIEWER", sends="picture")
        model = Model("vgg16-pneumonia-1.2.0", 0.4, "balanced", {"balanced": 0.4, "screening": 0.2})
        found = Result(image.pk, {"PNEUMONIA": 0.9}, 0.9, "PNEUMONIA", heatmap=bytes(range(196)))
        assert reading.succeed(token, [found], model, seconds=1.0) == 1
        # Where it is announced that something was found, nobody listens.
        assert deliver() == {"delivered": 4}
        assert archive.modalities() == ["SR", "OT"]
        assert viewer.modalities() == ["OT"]
        # Told again, as after a crash, it is not sent again.
        tell(image)
        assert deliver() == {"delivered": 1}
        assert (archive.received, viewer.received) == (2, 1)
    assert kept(image) == [(1, "positive", "")]


def test_a_reader_who_overrules_is_told_and_one_who_agrees_is_not(came, destination, archive, reader):
    destination(archive.port)
    image = came()
    tell(image)
    review(image, reader, "PNEUMONIA", kind="viral")
    deliver()
    assert archive.modalities() == ["SR", "OT"]
    review(image, reader, "NORMAL")
    assert set(deliver()) == {"delivered"}
    assert archive.modalities() == ["SR", "OT", "SR", "KO"]
    # While a second reader is awaited, what was told stands.
    assert ask_for_second(reader, [image]) == 1
    deliver()
    assert len(archive.stored) == 4
    review(image, reader, "PNEUMONIA")
    Image.objects.filter(pk=image.pk).update(stage="done", verdict="PNEUMONIA")
    tell(image)
    deliver()
    # They agree with the model in the end: its report counts again, under a UID of its own.
    assert archive.modalities()[4:] == ["SR", "OT", "KO"]
    assert kept(image) == [(1, "positive", ""), (2, "positive", "NORMAL"), (3, "positive", "")]


@pytest.mark.long
def test_nothing_is_sent_of_other_images_or_without_a_destination(came, upload, department, destination, archive):
    image = came()
    tell(image)
    assert deliver() == {"delivered": 1}
    assert kept(image) == [(1, "positive", "")]
    elsewhere = Department.objects.create(name="Other", slug="other")
    Image.objects.filter(pk=image.pk).update(department=elsewhere)
    destination(archive.port)
    picture_file = upload(guest=None, department=department, status=Status.SUCCEEDED)
    tell(image, picture_file)
    assert deliver() == {"delivered": 1}
    assert Revision.objects.count() == 1
    assert archive.received == 0


def test_what_cannot_be_used_is_told_without_a_picture(came, destination, archive):
    destination(archive.port)
    with pacs.running() as viewer:
        destination(viewer.port, name="Viewer", sends="picture")
        tell(came(group="unusable"))
        assert deliver() == {"delivered": 2, "discarded": 1}
        assert (archive.modalities(), viewer.received) == (["SR"], 0)


# --- destinations that are away, slow, or refuse --------------------------------------------------------------------


def test_a_destination_that_was_away_gets_everything_and_delays_no_other(came, destination, archive):
    port = free_port()
    away = destination(port, name="Away")
    destination(archive.port)
    for number in range(3):
        tell(came(number))
    assert deliver() == {"delivered": 6, "failed": 1}
    assert len(archive.stored) == 6
    tell(came(3))
    # It is not even asked meanwhile.
    assert deliver() == {"delivered": 2}
    away.refresh_from_db()
    assert "cannot be reached" in away.last_outcome
    with pacs.running(port) as back:
        make_due()
        assert deliver() == {"delivered": 4}
        assert set(back.stored) == set(archive.stored)


@pytest.mark.long
def test_a_destination_that_says_nothing_holds_up_others_for_moments_only(came, destination, archive, monkeypatch):
    monkeypatch.setattr(associating, "AGREE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        destination(silent.getsockname()[1], name="Silent")
        destination(archive.port)
        tell(came(1), came(2))
        began = time.monotonic()
        outcome = deliver()
        assert time.monotonic() - began < 20, "more than a busy machine needs"
    assert outcome == {"delivered": 3, "failed": 1}, "it is asked once, though two results are for it"
    assert len(archive.stored) == 4


@pytest.mark.parametrize(
    ("how", "state", "said"),
    [
        ({"status": 0xC000}, State.WAITING, "refuses"),
        ({"status": 0xA700}, State.WAITING, "no room"),
        ({"status": 0x0122}, State.DEAD, "refuses"),
        ({"classes": (PICTURE.class_uid,)}, State.DEAD, "does not take Comprehensive 3D SR"),
        ({"ae_title": "ANOTHER"}, State.WAITING, "refuses the association"),
    ],
)
def test_a_refusal_is_told_and_tried_again_where_that_may_help(came, destination, how, state, said):
    status = how.pop("status", 0)
    with pacs.running(**how) as refusing:
        refusing.status = status
        receiver = destination(refusing.port)
        tell(came())
        assert deliver() == {"delivered": 1, "failed": 1}
    row = Delivery.objects.get(kind="dicom")
    assert (row.state, said in row.last_error) == (state, True), row.last_error
    receiver.refresh_from_db()
    assert receiver.last_outcome == row.last_error


@pytest.mark.long
def test_a_destination_that_takes_implicit_vr_only_gets_it(came, destination):
    with pacs.running(syntax=ImplicitVRLittleEndian) as old:
        destination(old.port)
        tell(came())
        assert deliver() == {"delivered": 2}
        assert old.modalities() == ["SR", "OT"]


# --- by hand --------------------------------------------------------------------------------------------------------


def test_a_test_asks_whether_it_is_there(destination, archive):
    destinations.test(NOBODY, destination(archive.port))
    assert deliver() == {"delivered": 1}
    assert archive.received == 0
    [attempt] = Delivery.objects.get().attempts_made
    assert attempt["outcome"] == "answered the test"


@pytest.mark.long
def test_what_was_sent_or_given_up_is_sent_again_under_the_same_uids(came, destination, archive):
    receiver = destination(archive.port)
    archive.status = 0x0122
    tell(came())
    deliver()
    dead = Delivery.objects.get(kind="dicom")
    assert dead.state == State.DEAD
    archive.status = 0
    for times in (1, 2):
        destinations.send_again(NOBODY, receiver, dead)
        assert deliver() == {"delivered": 1}
        assert (archive.received, len(archive.stored)) == (1 + 2 * times, 2)


def test_a_destination_that_is_switched_off_or_deleted_gets_nothing(came, destination, archive):
    receiver = destination(archive.port)
    tell(came(1))
    # The event, and not yet what follows from it.
    delivering.deliver(outbox.claim("test"))
    destinations.change(NOBODY, receiver, {"enabled": False})
    assert deliver() == {"failed": 1}
    tell(came(2))
    assert deliver() == {"delivered": 1}
    destinations.change(NOBODY, receiver, {"enabled": True})
    tell(came(3))
    delivering.deliver(outbox.claim("test"))
    destinations.delete(NOBODY, receiver)
    assert deliver() == {"discarded": 1}
    assert archive.received == 0
    assert not Destination.objects.exists()
