"""The pages of news, choices, webhooks with their deliveries, and failures: who sees and changes what."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from tests.webapp.rows import administer
from webapp.accounts.identity import Identity
from webapp.audit.models import Entry
from webapp.notifications import services
from webapp.notifications.models import (
    WEBHOOK_EVENTS,
    Acknowledgement,
    Choice,
    Event,
    Mailbox,
    News,
    Reader,
    Webhook,
)
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Study
from webapp.studies.outbox.models import Delivery, State

pytestmark = pytest.mark.django_db

URL = "https://receiver.example/hook"


@pytest.fixture
def signed_in(client, user):
    client.force_login(user)
    return client


@pytest.fixture
def other(db):
    return User.objects.create_user("other")


@pytest.fixture
def boss(db):
    boss = User.objects.create_user("boss")
    boss.user_permissions.add(administer())
    return boss


def get_page(client, name, *args):
    answer = client.get(reverse(name, args=args))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("path", ["/news/", "/notifications/", "/failures/"])
def test_guests_are_asked_to_sign_in(client, path):
    assert "/accounts/login/" in client.get(path).headers["Location"]


# --- news -----------------------------------------------------------------------------------------------------------


def test_news_is_counted_shown_and_marked_as_read(signed_in, user, other, make_study):
    study = make_study(Status.SUCCEEDED, owner=user, name="ward 3")
    for person in (user, other):
        for key in ("one", "two"):
            News.objects.create(person=person, key=key, event=Event.STUDY_FINISHED, study=study)
    page = get_page(signed_in, "news")
    assert page.count("A study is finished") == 2
    assert "2<span" in page, "the number in the menu"
    first = News.objects.filter(person=user).first()
    foreign = News.objects.filter(person=other).first()
    signed_in.post(reverse("news-read"), {"news": [first.pk, foreign.pk]})
    assert set(News.objects.exclude(read_at=None)) == {first}
    signed_in.post(reverse("news-read"))
    assert News.objects.filter(read_at=None).count() == 2, "the news of the other person stays unread"
    assert "Mark as read" not in get_page(signed_in, "news")


def test_news_of_what_a_person_may_no_longer_see_is_neither_shown_nor_counted(
    signed_in, user, make_department, make_image, make_study
):
    department = make_department("icu", manager=user)
    News.objects.create(person=user, key="1", event=Event.STUDY_FINISHED, study=make_study(owner=user, name="own"))
    News.objects.create(person=user, key="2", event=Event.FAILED, image=make_image(department=department))
    News.objects.create(person=user, key="3", event=Event.ALERT, department=department)
    assert "3<span" in get_page(signed_in, "news")
    department.memberships.update(role="reader")
    page = get_page(signed_in, "news")
    assert "2<span" in page, "alerts are for managers"
    assert "agree too little" not in page
    department.memberships.all().delete()
    page = get_page(signed_in, "news")
    assert "1<span" in page
    assert "own" in page
    assert "could not be read" not in page


def test_news_about_a_deleted_study_is_deleted(signed_in, user, make_study):
    study = make_study(owner=user)
    News.objects.create(person=user, key="one", event=Event.STUDY_FINISHED, study=study)
    signed_in.delete(f"/api/v1/studies/{study.pk}/")
    signed_in.post(reverse("study-delete", args=[study.pk]))
    assert not Study.objects.exists()
    assert not News.objects.exists()


# --- choices --------------------------------------------------------------------------------------------------------


def test_a_person_chooses_notifications(signed_in, user):
    page = get_page(signed_in, "notifications")
    assert page.count(" checked") == len(Event) + len(WEBHOOK_EVENTS), "news by default, and a new webhook's events"
    signed_in.post(reverse("notifications"), {"language": "ne", "image.positive email": "on"})
    assert {(one.event, one.channel) for one in Choice.objects.filter(person=user, wanted=True)} == {
        ("image.positive", "email")
    }
    assert Reader.objects.get(person=user).language == "ne"
    assert get_page(signed_in, "notifications").count(" checked") == 1 + len(WEBHOOK_EVENTS)
    assert Entry.objects.filter(action="settings_change", person="ada").exists()


def test_only_managers_choose_the_notifications_of_a_department(signed_in, user, other, make_department):
    department = make_department(manager=user)
    address = reverse("department-notifications", args=["radiology"])
    form = {"language": "en", "address": "chest@hospital.example", "image.positive email": "on"}
    signed_in.post(address, form)
    assert Mailbox.objects.get(department=department).address == "chest@hospital.example"
    assert Choice.objects.get(department=department, wanted=True).event == "image.positive"
    assert "Enter a valid email" in signed_in.post(address, {**form, "address": "nobody"}).content.decode()
    department.memberships.update(role="reader")
    assert signed_in.get(address).status_code == 404
    assert signed_in.post(address, form).status_code == 404


# --- webhooks -------------------------------------------------------------------------------------------------------


def test_a_webhook_is_added_and_its_secret_shown_once(signed_in, user):
    page = signed_in.post(
        reverse("webhook-add"), {"url": URL, "events": ["image.positive", "image.corrected"]}
    ).content.decode()
    webhook = Webhook.objects.get(user=user)
    assert webhook.events == ["image.positive", "image.corrected"]
    assert "whsec_" in page
    assert "whsec_" not in get_page(signed_in, "webhook", webhook.pk)
    assert "must begin with https" in signed_in.post(
        reverse("webhook-add"), {"url": "http://10.0.0.1/"}, follow=True
    ).content.decode()  # fmt: skip
    too_long = signed_in.post(reverse("webhook-add"), {"url": f"{URL}/{'x' * 500}"}, follow=True)
    assert "at most 500 characters" in too_long.content.decode()
    assert Webhook.objects.count() == 1


def test_deliveries_are_listed_and_sent_again(signed_in, user):
    webhook, _ = services.create_webhook(Identity(user=user), URL)
    signed_in.post(reverse("webhook-test", args=[webhook.pk]))
    Delivery.objects.update(state=State.DEAD, attempts=7, last_error="answered 500")
    page = get_page(signed_in, "webhook", webhook.pk)
    assert all(text in page for text in ("given up", "answered 500", "7 attempts", "webhook.test"))
    signed_in.post(reverse("webhook-send-again", args=[webhook.pk, Delivery.objects.get().pk]))
    assert Delivery.objects.get().state == State.WAITING
    assert Entry.objects.filter(action="send_again").exists()
    assert "Its waiting deliveries are dropped." in get_page(signed_in, "webhook-delete", webhook.pk)
    assert Webhook.objects.exists(), "the page that asks for confirmation deletes nothing"
    signed_in.post(reverse("webhook-delete", args=[webhook.pk]))
    assert not Webhook.objects.exists()


def test_the_webhook_of_someone_else_is_not_found(signed_in, other, make_department, user):
    foreign, _ = services.create_webhook(Identity(user=other), URL)
    department = make_department(reader=user)
    department_webhook, _ = services.create_webhook(Identity(user=other), URL, department=department)
    own, _ = services.create_webhook(Identity(user=user), URL)
    services.send_test(foreign)
    delivery = Delivery.objects.get()
    for webhook in (foreign, department_webhook):
        assert signed_in.get(reverse("webhook", args=[webhook.pk])).status_code == 404
        for name in ("webhook-test", "webhook-delete"):
            assert signed_in.post(reverse(name, args=[webhook.pk])).status_code == 404
    for webhook in (foreign, own):
        assert signed_in.post(reverse("webhook-send-again", args=[webhook.pk, delivery.pk])).status_code == 404
    assert signed_in.post(reverse("failure-delivery", args=[delivery.pk])).status_code == 404
    assert signed_in.post(reverse("department-webhook-add", args=["radiology"]), {"url": URL}).status_code == 404
    department.memberships.update(role="manager")
    assert "receiver.example" in get_page(signed_in, "department-notifications", "radiology")
    get_page(signed_in, "webhook", department_webhook.pk)


# --- failures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(user, other, make_image, make_department):
    """Failed images: ada's, ada's and another person's in a department, one in another department, a guest's."""
    mine, theirs = make_department("mine", uploader=user), make_department("theirs")
    error = {"error_code": "image_corrupt", "error_detail": "It is damaged."}
    owners = {
        "own": {"owner": user},
        "sent": {"department": mine, "uploaded_by": user},
        "department": {"department": mine, "uploaded_by": other},
        "foreign": {"department": theirs, "uploaded_by": other},
        "guest": {},
    }
    return {name: make_image(Status.FAILED, filename=f"{name}.jpg", **error, **owner) for name, owner in owners.items()}


def names(page, failed):
    return {name for name in failed if f"{name}.jpg" in page}


def test_failures_are_listed_to_the_people_they_concern(signed_in, user, boss, failed):
    assert names(get_page(signed_in, "failures"), failed) == {"own", "sent"}
    user.memberships.update(role="manager")
    assert names(get_page(signed_in, "failures"), failed) == {"own", "sent", "department"}
    signed_in.force_login(boss)
    page = get_page(signed_in, "failures")
    assert names(page, failed) == set(failed)
    assert "It is damaged." in page
    assert "image_corrupt" in page


def test_a_failure_is_acknowledged(signed_in, user, failed):
    assert signed_in.post(reverse("failure-image", args=[failed["own"].pk])).status_code == 302
    assert names(get_page(signed_in, "failures"), failed) == {"sent"}
    assert Acknowledgement.objects.get().by == user
    assert Entry.objects.get(action="acknowledge").object_id == str(failed["own"].pk)
    for name in ("department", "foreign", "guest"):
        assert signed_in.post(reverse("failure-image", args=[failed[name].pk])).status_code == 404
    assert Acknowledgement.objects.count() == 1
    type(failed["own"]).objects.filter(pk=failed["own"].pk).update(finished_at=timezone.now())
    assert names(get_page(signed_in, "failures"), failed) == {"own", "sent"}, "it has failed again"


def test_failed_zips_are_listed_and_acknowledged(signed_in, user, make_study, other):
    for owner in (user, other):
        study = make_study(owner=owner)
        Archive.objects.create(
            study=study, filename=f"{owner}.zip", total=1, state="failed", dispatched_at=study.created_at,
            error_code="archive_corrupt", error_detail="The ZIP is cut off.",
        )  # fmt: skip
    page = get_page(signed_in, "failures")
    assert ("ada.zip" in page, "The ZIP is cut off." in page, "other.zip" in page) == (True, True, False)
    mine, foreign = (Archive.objects.get(filename=f"{name}.zip") for name in ("ada", "other"))
    assert signed_in.post(reverse("failure-archive", args=[foreign.pk])).status_code == 404
    signed_in.post(reverse("failure-archive", args=[mine.pk]))
    assert "ada.zip" not in get_page(signed_in, "failures")


def test_dead_deliveries_are_listed_sent_again_and_discarded(signed_in, user, other):
    for person in (user, other):
        webhook, _ = services.create_webhook(Identity(user=person), URL)
        services.send_test(webhook)
    Delivery.objects.update(state=State.DEAD, last_error="answered 500")
    assert get_page(signed_in, "failures").count("answered 500") == 1
    mine = Delivery.objects.get(destination=str(Webhook.objects.get(user=user).pk))
    signed_in.post(reverse("failure-delivery", args=[mine.pk]), {"do": "again"})
    assert Delivery.objects.get(pk=mine.pk).state == State.WAITING
    Delivery.objects.update(state=State.DEAD)
    signed_in.post(reverse("failure-delivery", args=[mine.pk]), {"do": "discard"})
    assert not Delivery.objects.filter(pk=mine.pk).exists()
    assert Delivery.objects.count() == 1


def test_the_number_of_queries_does_not_grow(signed_in, user, make_image, django_assert_max_num_queries):
    for number in range(12):
        make_image(Status.FAILED, owner=user, error_code="x")
        News.objects.create(person=user, key=str(number), event=Event.FAILED, image=user.image_set.first())
    for name, limit in (("failures", 18), ("news", 12)):
        with django_assert_max_num_queries(limit):
            get_page(signed_in, name)
