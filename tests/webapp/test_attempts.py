"""Each attempt to deliver something is recorded, and shown on pages and in the API to those whom it concerns."""

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


def test_each_attempt_is_recorded() -> None:
    before = timezone.now()
    delivery = put("one")
    assert delivery.attempts_made == []
    attempt(delivery, "answered 503")
    first, second = attempt(delivery).attempts_made
    assert (first["outcome"], second["outcome"]) == ("answered 503", "answered 204")
    assert before <= first["at"] <= second["at"] <= timezone.now()
    assert 0 <= first["seconds"] < 60
    # The record continues after sending again by hand, although the number of attempts starts again at 0.
    outbox.send_again([delivery.pk], states=["delivered"])
    assert [entry["outcome"] for entry in attempt(delivery, "answered 500").attempts_made] == [
        "answered 503", "answered 204", "answered 500",
    ]  # fmt: skip


def test_the_attempt_of_a_process_that_died_has_no_duration() -> None:
    delivery = put("one")
    assert outbox.claim("worker")
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert outbox.release_abandoned() == 1
    delivery.refresh_from_db()
    (entry,) = delivery.attempts_made
    assert (entry["outcome"], entry["seconds"]) == ("the process that was sending it died", None)


def test_only_the_last_attempts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "REMEMBERED", 2)
    delivery = put("one")
    for number in range(3):
        attempts = attempt(delivery, f"answered {500 + number}").attempts_made
    assert [entry["outcome"] for entry in attempts] == ["answered 501", "answered 502"]


@pytest.fixture
def boss() -> User:
    user = User.objects.create_user("boss")
    user.user_permissions.add(administer())
    return user


def test_the_attempts_of_a_webhook_are_shown(
    client: Client, user: User, user_client: Client, make_department: Any, boss: User
) -> None:
    webhook, _ = services.create_webhook(Identity(user=user), "https://receiver.example/hook")
    services.send_test(webhook)
    delivery = Delivery.objects.get()
    url = f"/api/v1/webhooks/{webhook.pk}/deliveries/"
    (waiting,) = user_client.get(url).json()["results"]
    assert (waiting["state"], waiting["attempts"], bool(waiting["next_attempt_at"])) == ("waiting", [], True)
    attempt(delivery, "no answer within 10 seconds")
    attempt(delivery)
    client.force_login(user)
    page = client.get(f"/webhooks/{webhook.pk}/").content.decode()
    assert page.index("no answer within 10 seconds") < page.index("answered 204")
    (shown,) = user_client.get(url).json()["results"]
    assert (shown["event"], shown["event_id"]) == ("webhook.test", delivery.payload["event_id"])
    assert (shown["state"], shown["next_attempt_at"], bool(shown["delivered_at"])) == ("delivered", None, True)
    assert [entry["outcome"] for entry in shown["attempts"]] == ["no answer within 10 seconds", "answered 204"]
    assert all(entry["at"] and entry["seconds"] >= 0 for entry in shown["attempts"])
    # A department's deliveries are shown to its managers and to administrators, and to nobody else.
    manager = User.objects.create_user("manager")
    department = make_department(manager=manager, reader=user)
    Webhook.objects.filter(pk=webhook.pk).update(user=None, department=department)
    for person, status in ((manager, 200), (user, 404), (boss, 200)):
        program = Client(headers={"Authorization": f"Token {tokens.issue(person)}"})
        assert program.get(url).status_code == status


def test_the_attempts_of_e_mails_are_shown_to_their_recipients(
    client: Client, user: User, make_department: Any, boss: User
) -> None:
    manager = User.objects.create_user("manager")
    department = make_department(manager=manager, reader=user)
    keys = {"one": f"email:person:{user.pk}:image.failed:1", "two": f"email:person:{manager.pk}:image.failed:1"}
    keys["three"] = f"email:department:{department.pk}:image.failed:1"
    keys["four"] = f"email:person:{user.pk}1:image.failed:1"  # another person, whose id begins with the same digits
    for name, key in keys.items():
        attempt(put(key, announcing.MAIL_SERVER), f"refused as {name}")
    for person, visible in ((user, {"one"}), (manager, {"two", "three"}), (boss, set(keys))):
        client.force_login(person)
        page = client.get("/notifications/emails/").content.decode()
        assert {name for name in keys if f"refused as {name}" in page} == visible
        program = Client(headers={"Authorization": f"Token {tokens.issue(person)}"})
        emails = program.get("/api/v1/emails/").json()["results"]
        assert {email["attempts"][0]["outcome"].removeprefix("refused as ") for email in emails} == visible
        assert {email["event_id"] for email in emails} == {None}
