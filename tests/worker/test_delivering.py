"""Deliveries to a real receiver: they are signed, retried while it is unreachable, and given up in the end."""

import re
import socket
import time

import pytest
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string
from standardwebhooks.webhooks import Webhook as Standard
from standardwebhooks.webhooks import WebhookVerificationError

from tests import receiver as receivers
from tests.service import ROOT
from webapp.accounts.identity import Identity
from webapp.notifications import announcing, sending, services
from webapp.notifications.models import Webhook
from webapp.studies.choices import Status
from webapp.studies.models import Image, Study
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.services import completion
from worker.deliver import delivering

pytestmark = pytest.mark.usefixtures("loopback_allowed")


@pytest.fixture
def finished(owner):
    """Make a finished study, whose event is in the outbox."""

    def make(name="ward 3"):
        study = Study.objects.create(owner=owner, name=name)
        for status in (Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED):
            Image.objects.create(study=study, owner=owner, status=status, size=1, dispatched_at=timezone.now())
        with transaction.atomic():
            completion.study_progressed([study.pk])
        return study

    return make


def deliver():
    return delivering.deliver_due("test")


def make_due():
    Delivery.objects.filter(state=State.WAITING).update(next_attempt_at=timezone.now())


# --- what arrives ---------------------------------------------------------------------------------------------------


def test_a_finished_study_arrives_once_and_signed(webhook, receiver, finished, settings):
    settings.PUBLIC_URL = "https://xray.example"
    study = finished()
    assert deliver() == {"delivered": 2}
    assert deliver() == {}
    [request] = receiver.requests
    event = Standard(webhook.secret).verify(request.body, request.headers)
    announcement = Delivery.objects.get(kind="study.finished")
    assert event == {
        "event": "study.finished",
        "id": str(announcement.pk),
        "created_at": announcement.created_at.isoformat(),
        "study": {
            "id": str(study.pk),
            "url": "https://xray.example" + reverse("api-study", args=[study.pk]),
            "name": "ward 3",
            "status": "finished",
            "total": 3,
            "counts": {"queued": 0, "ready": 0, "running": 0, "succeeded": 2, "failed": 1, "cancelled": 0},
            "failed_archives": 0,
        },
    }
    assert request.headers["webhook-id"] == event["id"]
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.path == "/hook"
    webhook.refresh_from_db()
    assert webhook.last_outcome == "answered 204"
    with pytest.raises(WebhookVerificationError):
        Standard(webhook.secret).verify(request.body.replace(b"ward 3", b"ward 4"), request.headers)


def test_a_test_event_arrives(webhook, receiver):
    event_id = services.send_test(webhook)
    assert deliver() == {"delivered": 1}
    [event] = receiver.events()
    assert (event["event"], event["id"], "study" in event) == ("webhook.test", str(event_id), False)


def test_the_documented_verification_accepts_only_genuine_requests(webhook, receiver, monkeypatch):
    page = (ROOT / "docs" / "api.md").read_text()
    [code] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "is_genuine" in block]
    example: dict = {}
    exec(code, example)  # noqa: S102  (our own page)
    services.send_test(webhook)
    deliver()
    [request] = receiver.requests
    assert example["is_genuine"](webhook.secret, request.headers, request.body)
    assert not example["is_genuine"](webhook.secret, request.headers, request.body + b" ")
    assert not example["is_genuine"]("whsec_b3RoZXI=", request.headers, request.body)
    assert not example["is_genuine"](webhook.secret, {**request.headers, "webhook-id": "another"}, request.body)
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    assert not example["is_genuine"](webhook.secret, request.headers, request.body)


def test_every_kind_of_delivery_has_its_handler(webhook, finished):
    finished()
    services.send_test(webhook)
    assert set(Delivery.objects.values_list("kind", flat=True)) <= set(delivering.HANDLERS)
    assert all(callable(import_string(name)) for name in delivering.HANDLERS.values())


# --- receivers that are unreachable, slow, or broken ----------------------------------------------------------------


def test_a_receiver_that_was_unreachable_gets_everything_when_it_is_back(owner, finished):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    webhook, _ = services.create_webhook(Identity(user=owner), f"http://127.0.0.1:{port}/hook")
    names = ["one", "two", "three"]
    for name in names:
        finished(name)
    # One delivery finds that the receiver is unreachable; the others wait with it.
    assert deliver() == {"delivered": 3, "failed": 1}
    assert deliver() == {}
    webhook.refresh_from_db()
    assert "cannot be reached" in webhook.last_outcome
    with receivers.receiving(port) as back:
        make_due()
        assert deliver() == {"delivered": 3}
        assert sorted(event["study"]["name"] for event in back.events()) == sorted(names)


@pytest.mark.parametrize("status", [301, 307, 400, 404, 429, 500, 503])
def test_answers_other_than_2xx_are_retried_with_the_same_id(webhook, receiver, finished, status):
    receiver.status, receiver.headers = status, {"Location": receiver.url + "/elsewhere"}
    finished()
    assert deliver() == {"delivered": 1, "failed": 1}
    row = Delivery.objects.get(kind="webhook")
    assert (row.state, row.attempts, row.last_error) == (State.WAITING, 1, f"answered {status}")
    receiver.status = 200
    make_due()
    assert deliver() == {"delivered": 1}
    assert [request.path for request in receiver.requests] == ["/hook", "/hook"]  # no redirect was followed
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    row.refresh_from_db()
    assert [attempt["outcome"] for attempt in row.attempts_made] == [f"answered {status}", "answered 200"]


def test_a_receiver_that_is_gone_for_good_gets_nothing_more(webhook, receiver, finished):
    receiver.status = 410
    finished("one"), finished("two")
    deliver()
    assert len(receiver.requests) == 1
    assert Delivery.objects.filter(kind="webhook", state=State.DEAD).count() == 2
    webhook.refresh_from_db()
    assert not webhook.active
    finished("three")
    assert deliver() == {"delivered": 1}
    assert len(receiver.requests) == 1


def test_a_dead_delivery_can_be_sent_again(webhook, receiver, finished):
    receiver.status = 500
    finished()
    deliver()
    Delivery.objects.filter(kind="webhook").update(expires_at=timezone.now())
    make_due()
    assert deliver() == {"failed": 1}
    dead = Delivery.objects.get(state=State.DEAD)
    assert deliver() == {}
    receiver.status = 200
    assert outbox.send_again([dead.pk]) == 1
    assert deliver() == {"delivered": 1}
    assert receiver.requests[-1].headers["webhook-id"] == receiver.requests[0].headers["webhook-id"]


@pytest.mark.parametrize("how", ["silent", "dripping"])
def test_a_receiver_has_a_limited_time_to_answer(webhook, receiver, finished, monkeypatch, how):
    monkeypatch.setattr(sending, "TIMEOUT_SECONDS", 1)
    if how == "silent":
        receiver.hold.clear()
    else:
        receiver.drip = True
    finished()
    started = time.monotonic()
    assert deliver() == {"delivered": 1, "failed": 1}
    assert time.monotonic() - started < 4
    assert "no answer within" in Delivery.objects.get(kind="webhook").last_error


@pytest.mark.parametrize("host", ["receiver.invalid", "a..b", "xn--a.example"])
def test_a_name_without_an_address_is_a_failure(owner, finished, host):
    webhook, _ = services.create_webhook(Identity(user=owner), "https://receiver.invalid/hook")
    Webhook.objects.update(url=f"https://{host}/hook")  # an earlier version accepted it
    finished()
    assert deliver() == {"delivered": 1, "failed": 1}
    webhook.refresh_from_db()
    assert "cannot be reached" in webhook.last_outcome


def test_an_internal_error_is_retried(webhook, finished, monkeypatch):
    monkeypatch.setattr(sending, "_body", lambda payload, content: 1 / 0)
    finished()
    assert deliver() == {"delivered": 1, "failed": 1}
    row = Delivery.objects.get(kind="webhook")
    assert (row.state, "ZeroDivisionError" in row.last_error) == (State.WAITING, True)


def test_a_delivery_whose_secret_cannot_be_read_is_dead_at_once(webhook, receiver, finished, settings):
    settings.SECRET_KEY = "another"
    finished()
    deliver()
    assert Delivery.objects.get(kind="webhook").state == State.DEAD
    assert not receiver.requests


def test_deliveries_about_deleted_objects_are_discarded(webhook, receiver, finished):
    study = finished()
    announcing.announce_study(Delivery.objects.get())
    study.images.all().delete()
    study.delete()
    services.send_test(webhook)
    other = services.create_webhook(Identity(user=webhook.user), receiver.url)[0]
    services.send_test(other)
    Webhook.objects.filter(pk=other.pk).delete()
    assert deliver() == {"discarded": 3, "delivered": 1}
    assert [event["event"] for event in receiver.events()] == ["webhook.test"]
