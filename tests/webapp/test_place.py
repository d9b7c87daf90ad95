"""An image's place in the queue: how many images are before it, and how long it waits."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.webapp.rows import make_reading
from webapp.dashboard.templatetags.results import place_in_queue
from webapp.studies import progress
from webapp.studies.choices import Priority, ReadingState, Status
from webapp.studies.models import Image, Reading

pytestmark = pytest.mark.django_db


@pytest.fixture
def make_waiting(make_image):
    """Make an image that has waited for this many minutes."""

    def make(minutes, status=Status.QUEUED, priority=Priority.INTERACTIVE, **fields):
        image = make_image(status, priority=priority, **fields)
        Image.objects.filter(pk=image.pk).update(created_at=timezone.now() - timedelta(minutes=minutes))
        image.refresh_from_db()
        return image

    return make


def test_an_interactive_image_waits_for_those_that_came_before_it(make_waiting):
    waiting = make_waiting(5)
    for minutes, status in ((9, Status.QUEUED), (8, Status.READY), (7, Status.RUNNING), (3, Status.QUEUED)):
        make_waiting(minutes, status)
    make_waiting(9, priority=Priority.BULK)
    make_waiting(9, Status.SUCCEEDED)
    make_waiting(9, Status.CANCELLED)
    assert progress.current_place(waiting).before == 3


def test_a_bulk_image_waits_for_all_interactive_ones_too(make_waiting):
    waiting = make_waiting(5, priority=Priority.BULK)
    make_waiting(9, priority=Priority.BULK)
    make_waiting(1, priority=Priority.BULK)
    make_waiting(9)
    make_waiting(1)
    assert progress.current_place(waiting).before == 3


def test_bulk_images_that_wait_for_the_night_are_not_before_it(make_waiting):
    waiting = make_waiting(5, priority=Priority.BULK)
    held = make_waiting(9, priority=Priority.BULK)
    Image.objects.filter(pk=held.pk).update(status=Status.READY)
    make_reading(held, state=ReadingState.HELD, turn=timezone.now().timestamp() + 3600)
    assert Reading.objects.held_for_night().count() == 1
    assert progress.current_place(waiting).before == 0


def test_the_waiting_time_follows_from_the_present_reading_speed(make_waiting, monkeypatch):
    waiting = make_waiting(5)
    assert progress.current_place(waiting).seconds is None
    make_waiting(9)
    monkeypatch.setattr(progress, "images_per_second", lambda: 0.5)
    assert progress.current_place(waiting).seconds == 4, "one before it, and itself"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((0, None), "It is next. How long it takes is not known yet."),
        ((0, 2.2), "It is next: about 2 s."),
        ((1, 30.0), "1 image before it: about 30 s."),
        ((12345, 7200.0), "12,345 images before it: about 120 min."),
    ],
)
def test_the_place_is_described_in_words(place, words):
    assert place_in_queue(progress.Place(*place)) == words


def test_the_page_shows_the_place_until_the_image_is_being_read(make_waiting, client):
    upload = client.upload().json()
    image = Image.objects.get()
    make_waiting(9)
    assert "1 image before it" in client.get(image.get_absolute_url()).content.decode()
    assert "1 image before it" in client.get(f"{image.get_absolute_url()}card/").content.decode()
    Image.objects.filter(pk=upload["id"]).update(status=Status.RUNNING)
    make_reading(image, state=ReadingState.RUNNING)
    html = client.get(image.get_absolute_url()).content.decode()
    assert "The model is reading it" in html
    assert "before it" not in html


def test_the_title_of_a_tab_in_the_background_shows_the_result(client, read):
    image = Image.objects.get(pk=client.upload().json()["id"])
    read(image)
    card = client.get(f"{image.get_absolute_url()}card/?seen=queued").content.decode()
    assert "<title>Signs of pneumonia – chest.jpg – PneumoQueue</title>" in card
