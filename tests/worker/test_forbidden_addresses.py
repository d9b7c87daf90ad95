"""Nothing is sent to an address that only this service can reach, whatever address a host name resolves to."""

import socket
from ipaddress import ip_network

import pytest
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.notifications import services
from webapp.notifications.models import Webhook
from webapp.studies.outbox.models import Delivery, State
from worker.deliver import delivering


def deliver():
    return delivering.deliver_due("test")


def make_due():
    Delivery.objects.filter(state=State.WAITING).update(next_attempt_at=timezone.now())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001"])
def test_a_forbidden_address_is_not_even_connected_to(owner, receiver, settings, host):
    webhook, _ = services.create_webhook(Identity(user=owner), receiver.url)
    for url in (f"http://{host}:{receiver.port}/hook", f"https://{host}:{receiver.port}/hook"):
        Webhook.objects.filter(pk=webhook.pk).update(url=url)
        services.send_test(webhook)
    settings.WEBHOOK_ALLOWED_NETWORKS = []
    deliver()
    make_due()
    deliver()
    assert not receiver.requests
    assert {row.last_error for row in Delivery.objects.all()} <= {
        "the receiver's name stands for no address that is allowed; see WEBHOOK_ALLOWED_NETWORKS", "",
    }  # fmt: skip
    webhook.refresh_from_db()
    assert "allowed" in webhook.last_outcome


def test_a_name_cannot_change_its_address_between_check_and_connection(owner, receiver, settings, monkeypatch):
    """DNS rebinding: the first answer is allowed, every later one is not."""
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.2/32")]
    lookups = []
    getaddrinfo = socket.getaddrinfo

    def resolve(host, port, *args, **kwargs):
        if host not in ("rebind.example", b"rebind.example"):
            return getaddrinfo(host, port, *args, **kwargs)
        lookups.append(host)
        address = "127.0.0.2" if len(lookups) == 1 else "127.0.0.1"
        return getaddrinfo(address, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    webhook, _ = services.create_webhook(Identity(user=owner), f"http://rebind.example:{receiver.port}/hook")
    services.send_test(webhook)
    assert deliver() == {"failed": 1}  # nobody listens at 127.0.0.2
    assert len(lookups) == 1
    assert not receiver.requests


def test_the_environments_proxy_is_not_used(webhook, receiver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    services.send_test(webhook)
    assert deliver() == {"delivered": 1}
