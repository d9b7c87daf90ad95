"""Webhooks: who may add them, which addresses are allowed, and which webhooks a study's event reaches."""

from ipaddress import ip_address, ip_network

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import reverse

from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.config import networks
from webapp.notifications import addresses, announcing, sealing, services
from webapp.notifications.models import Event, Webhook
from webapp.studies.choices import Status
from webapp.studies.models import Study
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery

WEBHOOKS = "/api/v1/webhooks/"
URL = "https://receiver.example/hook"


def add(client, url=URL, **more):
    return client.post(WEBHOOKS, {"url": url, **more}, content_type="application/json")


@pytest.fixture
def other_client(db, new_client):
    return new_client(headers={"Authorization": f"Token {tokens.issue(User.objects.create_user('eve'))}"})


# --- the API --------------------------------------------------------------------------------------------------------


def test_the_secret_is_shown_once(user_client):
    added = add(user_client)
    assert added.status_code == 201
    body = added.json()
    assert body["secret"].startswith("whsec_")
    assert (body["url"], body["events"], body["active"]) == (URL, ["study.finished"], True)
    shown = [user_client.get(WEBHOOKS), user_client.get(f"{WEBHOOKS}{body['id']}/")]
    assert shown[0].json()["results"][0]["id"] == body["id"]
    assert not any("secret" in answer.content.decode() for answer in shown)
    webhook = Webhook.objects.get()
    assert body["secret"] not in webhook.sealed_secret
    assert sealing.unseal(webhook.sealed_secret) == body["secret"]


def test_a_secret_stays_readable_when_the_secret_key_changes(settings):
    sealed = sealing.seal("whsec_x")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    assert sealing.unseal(sealed) == "whsec_x"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(sealing.UnreadableSecretError):
        sealing.unseal(sealed)


def test_guests_have_no_webhooks(client, problem):
    problem(client.get(WEBHOOKS), 401, "not_authenticated")
    problem(add(client), 401, "not_authenticated")


def test_nobody_sees_or_changes_the_webhooks_of_others(user_client, other_client, staff_client, problem):
    url = f"{WEBHOOKS}{add(user_client).json()['id']}/"
    for other in (other_client, staff_client):
        assert other.get(WEBHOOKS).json()["results"] == []
        for answer in (other.get(url), other.delete(url), other.post(f"{url}test/")):
            problem(answer, 404, "not_found")
    assert user_client.delete(url).status_code == 204
    assert not Webhook.objects.exists()


def test_unknown_events_and_invalid_urls_are_refused(user_client, problem):
    assert add(user_client, events=["study.finished"]).status_code == 201
    problem(add(user_client, events=["study.eaten"]), 400, "invalid_request")
    problem(add(user_client, url=""), 400, "invalid_request")
    problem(add(user_client, url="https://a.example/" + "x" * 500), 400, "invalid_request")


def test_the_number_of_webhooks_is_limited(user_client, problem, monkeypatch):
    monkeypatch.setattr(services, "MAX_WEBHOOKS", 1)
    add(user_client)
    problem(add(user_client), 409, "too_many_webhooks")


def test_a_test_event_goes_into_the_outbox(user_client, sent, problem):
    url = f"{WEBHOOKS}{add(user_client).json()['id']}/"
    answer = user_client.post(f"{url}test/")
    assert (answer.status_code, sent.wakes) == (202, 1)
    delivery = Delivery.objects.get()
    assert (delivery.payload["event"], delivery.payload["event_id"]) == ("webhook.test", answer.json()["id"])
    Webhook.objects.update(active=False)
    problem(user_client.post(f"{url}test/"), 409, "webhook_inactive")


def test_an_admin_adds_a_webhook_and_sees_its_secret_once(user):
    browser = Client()
    browser.force_login(User.objects.create_superuser("root", password="a long enough password"))
    page = reverse("admin:notifications_webhook_add")
    fields = {"user": user.pk, "url": URL, "events": ["study.finished"], "active": "on"}
    refused = browser.post(page, {**fields, "url": "https://10.0.0.1/"})
    assert b"not allowed here" in refused.content
    added = browser.post(page, fields, follow=True)
    webhook = Webhook.objects.get()
    secret = sealing.unseal(webhook.sealed_secret)
    assert secret.encode() in added.content.replace(b"&#x27;", b"'").replace(b"&amp;", b"&")
    change = browser.get(reverse("admin:notifications_webhook_change", args=[webhook.pk]))
    assert secret.encode() not in change.content


# --- addresses ------------------------------------------------------------------------------------------------------

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.1.2.3",
    "100.64.0.1", "192.0.0.8", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1",
    "fd12::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::a00:1", "2002:a00:1::",
    "2001:0:a00:1::", "2001:db8::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_outside_the_public_internet_are_refused(address):
    assert not addresses.is_allowed(ip_address(address), plain=False)


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_the_public_internet_is_allowed_over_tls_only(address):
    assert addresses.is_allowed(ip_address(address), plain=False)
    assert not addresses.is_allowed(ip_address(address), plain=True)


def test_internal_networks_are_allowed_if_the_settings_list_them(settings):
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16"), ip_network("fd12::/16")]
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1"):
        assert addresses.is_allowed(ip_address(address), plain=True)
    for address in ("10.2.0.1", "127.0.0.1", "169.254.169.254", "fd13::1", "8.8.8.8"):
        assert not addresses.is_allowed(ip_address(address), plain=True)


def test_networks_are_parsed_from_the_settings():
    assert networks.parse("X", ["10.1.0.0/16", " fd12::/16"]) == [ip_network("10.1.0.0/16"), ip_network("fd12::/16")]
    for wrong in ("10.1.2.3/16", "ward", ""):
        with pytest.raises(ImproperlyConfigured, match=r"^X: .*such as"):
            networks.parse("X", [wrong])


@pytest.mark.parametrize(
    "url",
    ["http://receiver.example/", "ftp://receiver.example/", "receiver.example", "https://", "https:///x",
     "https://user:pass@receiver.example/", "https://receiver.example/#x", "https://receiver.example:x/",
     "https://receiver.example:99999/", "https://[::1/", "https://[::1]/", "https://127.0.0.1/", "https://10.0.0.1:9/",
     "https://[::ffff:10.0.0.1]/", "https://receiver.example/a b", "https://receiver.example/\r\nX: y",
     "https://empfänger.example/", "file:///etc/passwd", f"https://{'a' * 64}.example/", "https://a..b/"],
)  # fmt: skip
def test_invalid_urls_are_refused(user_client, problem, url):
    answer = add(user_client, url)
    problem(answer, 400, answer.json()["code"])
    assert answer.json()["code"] in ("webhook_url_refused", "invalid_request")
    assert not Webhook.objects.exists()


def test_plain_http_needs_an_allowed_network(user_client, settings, problem):
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16")]
    assert add(user_client, "http://10.1.2.3:8080/hook").status_code == 201
    assert add(user_client, "http://receiver.ward.example/hook").status_code == 201  # checked when something is sent
    problem(add(user_client, "http://8.8.8.8/"), 400, "webhook_url_refused")


# --- the event of a study -------------------------------------------------------------------------------------------


def finish(study, read):
    read(*study.images.all())
    outbox_row = outbox.claim("test")
    assert outbox_row.kind == "study.finished"
    return outbox_row


def test_each_webhook_of_the_owner_gets_the_event_once(make_study, user, staff_client, read):
    own = [services.create_webhook(Identity(user=user), URL)[0] for _ in range(2)]
    services.create_webhook(Identity(user=User.objects.get(username="boss")), URL)
    Webhook.objects.filter(pk=services.create_webhook(Identity(user=user), URL)[0].pk).update(active=False)
    Webhook.objects.filter(pk=services.create_webhook(Identity(user=user), URL)[0].pk).update(events=["another"])
    Webhook.objects.create(user=None, url=URL, events=["study.finished"])
    study = make_study(Status.READY, owner=user)
    event = finish(study, read)
    for _ in range(2):
        announcing.announce_study(event)
    rows = Delivery.objects.filter(kind="webhook")
    assert {row.destination for row in rows} == {str(webhook.pk) for webhook in own}
    assert len(rows) == 2
    for row in rows:
        assert set(row.payload) == {"event", "event_id", "created_at", "study"}
        assert (row.payload["event_id"], row.payload["study"]) == (str(event.pk), str(study.pk))


def test_the_sender_is_notified_of_a_departments_study(make_study, make_department, user):
    department = make_department(uploader=user)
    webhook, _ = services.create_webhook(Identity(user=user), URL)
    study = make_study(Status.READY, department=department, uploaded_by=user)
    assert announcing.listening_to(study, Event.STUDY_FINISHED) == [webhook]
    department.memberships.all().delete()
    study = Study.objects.get(pk=study.pk)
    assert announcing.listening_to(study, Event.STUDY_FINISHED) == []


def test_a_guests_study_is_not_announced(make_study, guest, read):
    Webhook.objects.create(user=None, url=URL, events=["study.finished"])
    announcing.announce_study(finish(make_study(Status.READY, guest=guest.guest), read))
    assert not Delivery.objects.filter(kind="webhook").exists()


def test_a_deleted_study_is_not_announced(make_study, user, read):
    study = make_study(Status.READY, owner=user)
    event = finish(study, read)
    study.images.all().delete()
    study.delete()
    with pytest.raises(outbox.ObsoleteError):
        announcing.announce_study(event)
