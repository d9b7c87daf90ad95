"""Managers are alerted if a model finds too few pneumonias or if the incoming images have changed."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from tests.webapp.agreement.test_agreement import make_earlier_months
from webapp.accounts.identity import Identity
from webapp.agreement import counting
from webapp.agreement.models import Alert, MonthlyCount
from webapp.notifications import services as notifications
from webapp.notifications.models import Channel, Event, News
from webapp.ops import metrics
from webapp.studies.models import Image
from webapp.studies.outbox.models import Delivery, State
from worker.deliver import delivering

pytestmark = pytest.mark.django_db


def deliver() -> None:
    for delivery in Delivery.objects.filter(state=State.WAITING):
        Delivery.objects.filter(pk=delivery.pk).update(state=State.SENDING)
        assert delivering.deliver(delivery) == "delivered"


@pytest.fixture
def limit(ward: Any) -> None:
    ward.least_sensitivity = 80
    ward.save()


def test_a_sensitivity_that_may_be_below_the_limit_is_reported_once(
    limit: None, make_judged: Any, manager: Any, manager_client: Any
) -> None:
    make_judged(30, "positive", "PNEUMONIA")
    make_judged(10, "negative", "PNEUMONIA")
    counting.count()
    counting.count()
    (alert,) = Alert.objects.all()
    assert (alert.about, alert.bound, round(alert.value, 2)) == ("sensitivity", 0.8, 0.6)
    deliver()
    (news,) = News.objects.all()
    assert (news.person, news.event, news.department) == (manager, "department.alert", alert.department)
    assert "/agreement/?department=ward" in manager_client.get("/news/").content.decode()
    page = manager_client.get("/agreement/").content.decode()
    assert "may find as few as 60 % of the pneumonias that readers find; the limit is 80 %" in page
    sample = 'pneumoqueue_agreement_alerts{about="sensitivity",department="ward",model="net-1.0.0"} 0.59'
    assert sample in metrics.exposition().decode()
    Image.objects.filter(readings__group="negative").update(verdict="NORMAL")
    counting.count()
    assert not Alert.objects.exists()
    assert "Needs attention" not in manager_client.get("/agreement/").content.decode()


def test_too_few_pneumonias_or_no_limit_raise_no_alert(ward: Any, make_judged: Any) -> None:
    make_judged(15, "positive", "PNEUMONIA")
    counting.count()
    ward.least_sensitivity = 80
    ward.save()
    # If all of 15 are found, the interval begins at 80 %; for it to begin at 95 %, 73 would be needed.
    counting.count()
    assert not Alert.objects.exists()
    ward.least_sensitivity = 95
    ward.save()
    counting.count()
    assert not Alert.objects.exists()


def test_changed_images_are_reported(ward: Any, make_judged: Any, manager: Any, settings: Any) -> None:
    settings.EMAIL_URL, settings.PUBLIC_URL = "smtp://mail.example", "https://xray.example"
    manager.email = "marta@hospital.example"
    manager.save()
    notifications.choose(Identity(user=manager), [(Event.ALERT, Channel.EMAIL)], "en")
    webhook, _ = notifications.create_webhook(Identity(user=manager), "https://receiver.example/", [Event.ALERT], ward)
    make_earlier_months(ward, 2, side=[0, 300, 0, 0, 0, 0, 0, 0, 0])
    MonthlyCount.objects.update(month=timezone.localdate().replace(day=1) - timedelta(days=200))
    make_judged(200, "negative", width=2000, height=2000)
    counting.count()
    (alert,) = Alert.objects.all()
    assert alert.about == "side"
    deliver()
    assert not News.objects.exists(), "the manager chose e-mail only"
    mailed = Delivery.objects.get(kind="email")
    assert delivering.deliver(mailed) == "delivered"
    assert "https://xray.example/agreement/?department=ward" in mail.outbox[0].body
    sent = Delivery.objects.get(kind="webhook")
    assert (sent.destination, sent.payload["event"], sent.payload["about"]) == (
        str(webhook.pk), "department.alert", "side",
    )  # fmt: skip
    from webapp.notifications import sending

    assert sending._body(sent.payload, webhook)["department"] == {
        "slug": "ward", "url": "https://xray.example/api/v1/agreement/?department=ward", "about": "side",
    }  # fmt: skip
