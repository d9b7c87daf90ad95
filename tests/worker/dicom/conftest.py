"""A listener in this process, and a department with a scanner."""

from collections.abc import Callable, Iterator
from typing import Any

import pydicom.config
import pynetdicom
import pytest
from django.core.cache import cache

from tests import database
from webapp.departments.models import Department
from webapp.dicom.models import Peer
from worker.dicom import listening
from worker.dicom.listening import Listener

database.on_disk()


@pytest.fixture
def department(transactional_db: None) -> Department:
    return Department.objects.create(name="Paediatrics", slug="paediatrics")


@pytest.fixture
def peer(department: Department) -> Peer:
    return Peer.objects.create(ae_title="SCANNER", department=department)


@pytest.fixture
def listen(settings: Any, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """Start a listener with some settings. Return its port."""
    monkeypatch.setattr(pynetdicom._config, "LOG_HANDLER_LEVEL", "none")
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.IGNORE)
    monkeypatch.setattr(listening, "POLL_SECONDS", 0.05)
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "process": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    }
    cache.clear()
    started = []

    def start(**changes: Any) -> int:
        for name, value in changes.items():
            setattr(settings, name, value)
        listener = Listener()
        started.append(listener)
        port = listener.open()
        listener.start()
        return port

    yield start
    for listener in started:
        listener.stop()


@pytest.fixture
def port(listen: Callable[..., int]) -> int:
    return listen()
