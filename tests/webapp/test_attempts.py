"""Each attempt to deliver something is remembered, and shown to those whom it concerns: page and API."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from tests.webapp.rows import administer
from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.notifications import announcing, services
from webapp.notifications.models import Webhook
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import NotDeliveredError

pytestmark = pytest.mark.django_db


def put(key: str, destination: str = "", **payload: Any) -> Delivery:
    with transaction.atomic():
        outbox.put("test", key, {"event": "image.failed", **payload}, destination=destination)
    return Delivery.objects.get(key=key)


def attempt(delivery: Delivery, error: str = "", answer: str = "answered 204") -> Delivery:
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())
    claimed = outbox.claim("worker")
    assert claimed is not None
    assert claimed.pk == delivery.pk
    if error:
        outbox.failed(claimed, NotDeliveredError(error))
    else:
        assert outbox.delivered(claimed, answer)
    return Delivery.objects.get(pk=delivery.pk)


def test_each_attempt_is_remembered() -> None:
    before = timezone.now()
    delivery = put("one")
    assert delivery.attempts_made == []
    attempt(delivery, "answered 503")
    first, second = attempt(delivery).attempts_made
    assert (first["outcome"], second["outcome"]) == ("answered 503", "answered 204")
    assert before <= first["at"] <= second["at"] <= timezone.now()
    assert 0 <= first["seconds"] < 60
    # Sent again by hand it goes on, though it has as many attempts as a new one.
    outbox.send_again([delivery.pk], states=["delivered"])
    assert [one["outcome"] for one in attempt(delivery, "answered 500").attempts_made] == [
        "answered 503", "answered 204", "answered 500",
    ]  # fmt: skip


def test_of_a_process_that_died_it_is_not_known_how_long_it_took() -> None:
    delivery = put("one")
    assert outbox.claim("worker")
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert outbox.release_abandoned() == 1
    delivery.refresh_from_db()
    (made,) = delivery.attempts_made
    assert (made["outcome"], made["seconds"]) == ("the process that was sending it died", None)


def test_the_last_attempts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "REMEMBERED", 2)
    delivery = put("one")
    for number in range(3):
        made = attempt(delivery, f"answered {500 + number}").attempts_made
    assert [one["outcome"] for one in made] == ["answered 501", "answered 502"]


@pytest.fixture
def boss() -> User:
    made = User.objects.create_user("boss")
    made.user_permissions.add(administer())
    return made


def test_the_attempts_of_a_webhook_are_shown(
    client: Client, user: User, user_client: Client, make_department: Any, boss: User
) -> None:
    webhook, _ = services.create_webhook(Identity(user=user), "https://receiver.example/hook")
    services.send_test(webhook)
    delivery = Delivery.objects.get()
    url = f"/api/v1/webhooks/{webhook.pk}/deliveries/"
    (waits,) = user_client.get(url).json()["results"]
    assert (waits["state"], waits["attempts"], bool(waits["next_attempt_at"])) == ("waiting", [], True)
    attempt(delivery, "no answer within 10 seconds")
    attempt(delivery)
    client.force_login(user)
    page = client.get(f"/webhooks/{webhook.pk}/").content.decode()
    assert page.index("no answer within 10 seconds") < page.index("answered 204")
    (found,) = user_client.get(url).json()["results"]
    assert (found["event"], found["event_id"]) == ("webhook.test", delivery.payload["event_id"])
    assert (found["state"], found["next_attempt_at"], bool(found["delivered_at"])) == ("delivered", None, True)
    assert [one["outcome"] for one in found["attempts"]] == ["no answer within 10 seconds", "answered 204"]
    assert all(one["at"] and one["seconds"] >= 0 for one in found["attempts"])
    # A department's are its managers' to see, and nobody else's.
    manager = User.objects.create_user("manager")
    department = make_department(manager=manager, reader=user)
    Webhook.objects.filter(pk=webhook.pk).update(user=None, department=department)
    for who, status in ((manager, 200), (user, 404), (boss, 200)):
        theirs = Client(headers={"Authorization": f"Token {tokens.issue(who)}"})
        assert theirs.get(url).status_code == status


def test_the_attempts_of_e_mails_are_shown_to_whom_they_were_sent(
    client: Client, user: User, make_department: Any, boss: User
) -> None:
    manager = User.objects.create_user("manager")
    department = make_department(manager=manager, reader=user)
    mine = {"one": f"email:person:{user.pk}:image.failed:1", "two": f"email:person:{manager.pk}:image.failed:1"}
    mine["three"] = f"email:department:{department.pk}:image.failed:1"
    mine["four"] = f"email:person:{user.pk}1:image.failed:1"  # another person's, whose number begins like it
    for name, key in mine.items():
        attempt(put(key, announcing.MAIL_SERVER), f"refused as {name}")
    for who, seen in ((user, {"one"}), (manager, {"two", "three"}), (boss, set(mine))):
        client.force_login(who)
        page = client.get("/notifications/emails/").content.decode()
        assert {name for name in mine if f"refused as {name}" in page} == seen
        theirs = Client(headers={"Authorization": f"Token {tokens.issue(who)}"})
        found = theirs.get("/api/v1/emails/").json()["results"]
        assert {one["attempts"][0]["outcome"].removeprefix("refused as ") for one in found} == seen
        assert {one["event_id"] for one in found} == {None}
