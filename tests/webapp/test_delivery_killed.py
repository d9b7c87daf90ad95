"""No delivery is lost if the process that sends it is killed."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from ipaddress import ip_network

import pytest
from django.db import connection
from django.utils import timezone

from tests import receiver as receivers
from tests.service import ROOT
from webapp.accounts.identity import Identity
from webapp.notifications import services
from webapp.studies.outbox.models import Delivery, State
from worker.deliver import delivering

CHILD = """
import os
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE"]
django.setup()
from worker.deliver import delivering
delivering.deliver_due("the one that is killed")
"""


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_a_delivery_whose_process_is_killed_is_sent_again_with_the_same_id(user, settings):
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    environment = {
        **os.environ,
        "TEST_DATABASE": str(connection.settings_dict["NAME"]),
        "DJANGO_SETTINGS_MODULE": "webapp.config.settings",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "SECRET_KEY": settings.SECRET_KEY,
    }
    with receivers.receiving() as receiver:
        receiver.hold.clear()
        webhook, _ = services.create_webhook(Identity(user=user), receiver.url)
        event_id = services.send_test(webhook)
        child = subprocess.Popen([sys.executable, "-c", CHILD], cwd=ROOT, env=environment)
        try:
            assert receiver.arrived.wait(30)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait(10)
        row = Delivery.objects.get()
        assert (row.state, row.claimed_by) == (State.SENDING, "the one that is killed")
        assert delivering.deliver_due("another") == {}  # the claim of the killed process has not expired
        receiver.hold.set()
        Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
        assert delivering.deliver_due("another") == {"abandoned": 1}
        Delivery.objects.update(next_attempt_at=timezone.now())
        assert delivering.deliver_due("another") == {"delivered": 1}
        assert [request.headers["webhook-id"] for request in receiver.requests] == [str(event_id)] * 2
