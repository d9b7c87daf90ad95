"""Administrators see waiting and dead deliveries in the outbox, and send dead ones again."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.outbox.services import NotDeliveredError

HOUR = timedelta(hours=1)


def put(key):
    with transaction.atomic():
        outbox.put("test", key, {"id": 1})
    return Delivery.objects.get(key=key)


@pytest.fixture
def dead(db):
    delivery = put("dead one")
    outbox.failed(outbox.claim("a"), NotDeliveredError("gone", permanent=True))
    return delivery


@pytest.fixture
def admin_client(db):
    browser = Client()
    browser.force_login(User.objects.create_superuser("root", password="a long enough password"))
    return browser


def test_an_admin_sees_dead_deliveries_and_sends_them_again(dead, admin_client, sent, commit):
    page = reverse("admin:outbox_delivery_changelist")
    assert b"dead one" in admin_client.get(page, {"state": "dead"}).content
    waiting = put("waiting")
    with commit():
        answer = admin_client.post(
            page, {"action": "send_again", "_selected_action": [dead.pk, waiting.pk]}, follow=True
        )
    assert b"1 deliveries will be sent again" in answer.content
    again = Delivery.objects.get(pk=dead.pk)
    assert (again.state, again.attempts, sent.wakes) == (State.WAITING, 0, 1)
    assert again.expires_at > timezone.now() + 71 * HOUR


def test_an_admin_deletes_dead_deliveries_only(dead, admin_client):
    waiting = put("waiting")
    page = reverse("admin:outbox_delivery_changelist")

    def delete(*deliveries):
        chosen = [delivery.pk for delivery in deliveries]
        return admin_client.post(page, {"action": "delete_selected", "_selected_action": chosen, "post": "yes"})

    assert delete(dead, waiting).status_code == 403
    assert Delivery.objects.count() == 2
    assert delete(dead).status_code == 302
    assert list(Delivery.objects.all()) == [waiting]


def test_the_metrics_show_the_outbox(dead, client, sent):
    put("1")
    Delivery.objects.filter(key="1").update(next_attempt_at=timezone.now() - timedelta(seconds=90))
    put("2")
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").content.decode().splitlines())
    assert float(lines["pneumoqueue_outbox_waiting"]) == 2
    assert float(lines["pneumoqueue_outbox_dead"]) == 1
    assert float(lines["pneumoqueue_outbox_oldest_seconds"]) == pytest.approx(90, abs=5)
