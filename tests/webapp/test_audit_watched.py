"""Beat seals the audit log, and metrics of the audit log and of the purge feed the alerts."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from webapp.audit import chain
from webapp.audit.models import Action, Entry
from webapp.audit.services import record
from webapp.ops import beat, metrics
from webapp.retention import services as retention
from webapp.retention.models import PurgeReport

pytestmark = pytest.mark.django_db


def metric(name):
    match = re.search(rf"^{name} (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    return float(match[1]) if match else None


@pytest.fixture(autouse=True)
def same_connection(monkeypatch):
    """Keep beat from closing the connection, which holds the test's transaction."""
    monkeypatch.setattr(beat, "close_old_connections", lambda: None)


def test_beat_seals_on_schedule(guest):
    record(guest, Action.CANCEL)
    beat.Scheduler.apply_entry(None, type("Entry", (), {"name": "seal"}))
    assert Entry.objects.get().position == 1


def test_beat_continues_if_sealing_fails(guest, monkeypatch, caplog):
    record(guest, Action.CANCEL)
    with monkeypatch.context() as patch:
        patch.setattr(chain, "seal", lambda: 1 / 0)
        beat.seal()
    assert "could not seal the audit" in caplog.text
    beat.seal()
    assert Entry.objects.get().position == 1


def test_the_chain_has_metrics(guest):
    assert (metric("pneumoqueue_audit_sealed"), metric("pneumoqueue_audit_unsealed_seconds")) == (0, 0)
    record(guest, Action.CANCEL)
    Entry.objects.update(created_at=timezone.now() - timedelta(seconds=100))
    assert metric("pneumoqueue_audit_unsealed_seconds") == pytest.approx(100, abs=5)
    chain.seal()
    assert (metric("pneumoqueue_audit_sealed"), metric("pneumoqueue_audit_unsealed_seconds")) == (1, 0)


def test_the_last_purge_has_metrics():
    assert metric("pneumoqueue_last_purged_timestamp_seconds") is None
    PurgeReport.objects.create()
    assert metric("pneumoqueue_last_purged_timestamp_seconds") is None, "this purge has not ended"
    retention.purge()
    assert metric("pneumoqueue_last_purged_timestamp_seconds") == pytest.approx(timezone.now().timestamp(), abs=5)


def test_the_purge_deletes_old_entries(guest, settings):
    record(guest, Action.CANCEL)
    Entry.objects.update(created_at=timezone.now() - timedelta(days=11))
    record(guest, Action.CANCEL)
    chain.seal()
    settings.AUDIT_DAYS = 0
    retention.purge()
    assert Entry.objects.count() == 2, "0 keeps all entries"
    settings.AUDIT_DAYS = 10
    assert retention.purge().removed["audit.Entry"] == 1
    assert chain.verify()[1] == []
