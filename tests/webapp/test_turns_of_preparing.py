"""Owners take turns in having bulk images prepared and ZIPs unpacked, whatever the order of the messages."""

from collections import Counter
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from tests.plans import recorded
from tests.synthetic import zip_of
from tests.webapp.clients import JPEG
from tests.webapp.rows import BUNDLE
from webapp.accounts.identity import Identity
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Study, Turn
from webapp.studies.services import archives, cancellation, changing, preparation, retrying, turns
from webapp.studies.services.pauses import Paused

pytestmark = pytest.mark.django_db


@pytest.fixture
def send(sent):
    """Send ``number`` bulk images. Their messages queue behind the earlier ones."""

    def send_images(number, **owner):
        now = timezone.now()
        images = [Image(priority="bulk", size=1, filename="a.jpg", dispatched_at=now, **owner) for _ in range(number)]
        turns.line_up(images)
        Image.objects.bulk_create(images)
        dispatch.send(dispatch.INGEST, images)
        return images

    return send_images


@pytest.fixture
def work(sent, commit):
    """Handle the next ``number`` messages in the order they were sent, and return the prepared images."""

    def handle_messages(number):
        prepared = []
        for _ in range(number):
            _, pk, _ = sent.images.pop(0)
            if image := preparation.start_ingest(pk):
                prepared.append(image)
                with commit():
                    files = preparation.Prepared("", 1, 1, "", {BUNDLE: f"inputs/{image.pk}.png"})
                    assert preparation.finish_ingest(image, files)
                sent.images[:] = [message for message in sent.images if message[0] == dispatch.INGEST]
        return prepared

    return handle_messages


def owners(images):
    return Counter(str(image.department or image.owner or image.guest) for image in images)


def test_five_images_do_not_wait_for_another_departments_two_hundred(send, work, make_department):
    large, small = make_department("large"), make_department("small")
    send(200, department=large)
    work(3)
    few = send(5, department=small)
    assert owners(work(10)) == {"Large": 5, "Small": 5}
    assert not Image.objects.filter(pk__in=[image.pk for image in few], status=Status.QUEUED).exists()


def test_each_image_is_prepared_by_one_message(send, work):
    for _ in range(2):
        send(4, guest=uuid4())
        work(2)
    assert len(work(4)) == 4
    assert not Image.objects.filter(status=Status.QUEUED).exists()
    assert turns.forget() == 0, "the images still wait to be read"


def test_a_department_with_a_larger_share_has_more_images_prepared(send, work, make_department):
    large, small = make_department("large"), make_department("small")
    large.share = 3
    large.save()
    send(20, department=large)
    send(20, department=small)
    assert owners(work(12)) == {"Large": 9, "Small": 3}


def test_guests_and_people_take_turns_too(send, work, user, guest):
    send(10, owner=user)
    send(2, guest=guest.guest)
    assert owners(work(4)) == {"ada": 2, str(guest.guest): 2}


def test_an_image_whose_worker_died_is_still_prepared_by_its_own_message(send, work, sent, make_department):
    """Another message had led to this image. When that message is delivered again, it leads to the next image."""
    send(3, department=make_department("large"))
    [late] = send(1, department=make_department("small"))
    Image.objects.filter(pk=late.pk).update(turn=-1)
    assert preparation.start_ingest(sent.images[0][1]).pk == late.pk, "and the worker dies"
    assert late not in work(3)
    assert work(1) == [late]
    late.refresh_from_db()
    assert (late.status, late.attempts) == (Status.READY, 0)
    assert Image.objects.filter(status=Status.QUEUED).count() == 0


def test_an_image_that_kills_every_worker_fails_without_the_others(send, work, sent, settings):
    bad = send(3, guest=uuid4())[0]
    message = sent.images.pop(0)
    for attempt in range(settings.MAX_ATTEMPTS):
        assert preparation.start_ingest(message[1], redelivered=attempt > 0).pk == bad.pk
    assert preparation.start_ingest(message[1], redelivered=True) is None
    work(2)
    assert list(Image.objects.filter(status=Status.FAILED)) == [bad]
    assert Image.objects.filter(status=Status.READY).count() == 2


def test_each_image_is_prepared_even_if_messages_arrive_out_of_order(send, sent):
    """The first worker gets the message of the image that the second worker is already preparing."""
    images = send(3, guest=uuid4())
    first, second, third = (pk for _, pk, _ in sent.images)
    started = [preparation.start_ingest(pk) for pk in (second, first, third)]
    assert started == images


def test_an_image_that_is_sent_again_is_prepared_before_others_in_line(send, sent):
    lost = send(2, guest=uuid4())[0]
    assert preparation.start_ingest(lost.pk) == lost, "and the worker dies, and its message is gone"
    Image.objects.filter(pk=lost.pk).update(dispatches=2)
    assert preparation.start_ingest(lost.pk) == lost


def test_a_cancelled_image_leaves_the_line(send, work):
    first, second = send(2, guest=uuid4())
    cancellation.cancel_image(first)
    assert work(2) == [second]


def test_an_image_that_becomes_interactive_is_prepared_by_its_new_message(send, work, sent, commit, guest):
    first, second = send(2, guest=guest.guest)
    with commit():
        changing.change_image(guest, second, priority="interactive")
    assert preparation.start_ingest(sent.images[-1][1]).pk == second.pk
    assert work(1) == [first]


def test_the_message_of_an_interactive_image_takes_no_bulk_image(send, make_image):
    send(1, guest=uuid4())
    assert preparation.start_ingest(make_image(Status.READY).pk) is None
    assert Image.objects.in_line().count() == 1


def test_retried_images_take_turns(send, work, sent, make_department, make_study, commit, user):
    study = make_study(*[Status.FAILED] * 6, department=make_department("large", manager=user))
    with commit():
        retrying.retry_study(Identity(user=user), study)
    send(3, department=make_department("small"))
    assert owners(work(6)) == {"Large": 3, "Small": 3}


def test_one_owners_zips_do_not_delay_anothers(new_client, sent, commit, settings):
    settings.UNPACK_CHUNK_FILES = 1
    busy_client, other_client = new_client(), new_client()
    for name in "abc":
        busy_client.upload_study({f"{name}.zip": zipped(4)})
    other_client.upload_study({"d.zip": zipped(2)})
    order = []
    while sent.archives:
        sent.archives.pop(0)
        with commit():
            assert archives.unpack() == 1
        order.append(Image.objects.latest("created_at").study.guest)
    assert list(Counter(order[:4]).values()) == [2, 2], "owners take turns"
    assert Archive.objects.filter(state="unpacked").count() == len(order) - 10 == 4
    assert Image.objects.in_line().count() == 14


def zipped(number):
    return zip_of({f"{n}.jpg": JPEG for n in range(number)})


def test_an_uploaded_study_takes_its_place_in_the_line(client, jpeg, sent):
    client.upload_study({"a.jpg": jpeg, "b.jpg": jpeg, "notes.jpg": b"no image"})
    client.upload(jpeg)
    assert list(Image.objects.in_line()) == [Image.objects.get(filename=name) for name in ("a.jpg", "b.jpg")]
    Image.objects.all().delete()
    Study.objects.all().delete()
    assert Turn.objects.count() == turns.forget() == 1


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB has no partial indexes")
def test_the_next_image_is_found_by_an_index(send):
    images = send(3, guest=uuid4())
    with recorded() as queries:
        assert turns.next_to_prepare(images[2].pk, Paused()) == images[0]
        turns.line_up([Image(priority="bulk", guest=uuid4())])
    assert queries.bad_plans() == []
    if connection.vendor == "sqlite":
        assert "image_in_line" in Image.objects.in_line().explain()
