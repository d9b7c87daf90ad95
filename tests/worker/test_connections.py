"""A worker keeps its database connection between tasks, and no task gets a broken one."""

from types import SimpleNamespace

import pytest
from celery import signals
from celery.fixups.django import DjangoWorkerFixup
from django.db import connection

from worker.app import app

pytestmark = pytest.mark.django_db(transaction=True)


def test_celery_keeps_the_connection_between_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    connection.ensure_connection()
    monkeypatch.setattr(connection, "close", lambda: closed.append(True))
    fixup = DjangoWorkerFixup(app)
    fixup.worker = SimpleNamespace(pool_cls="prefork")
    for _ in range(10):
        fixup.close_database()
    assert closed == []


@pytest.mark.parametrize("usable", [True, False])
def test_a_task_does_not_start_with_a_broken_connection(monkeypatch: pytest.MonkeyPatch, usable: bool) -> None:
    closed: list[bool] = []
    connection.ensure_connection()
    monkeypatch.setattr(connection, "errors_occurred", True)
    monkeypatch.setattr(connection, "is_usable", lambda: usable)
    monkeypatch.setattr(connection, "close", lambda: closed.append(True))
    signals.task_prerun.send(sender=None)
    assert closed == ([] if usable else [True])
