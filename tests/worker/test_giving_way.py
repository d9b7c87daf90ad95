"""Preparing in bulk gives way to the images that people wait for, but never for long."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.services import turns
from worker import tasks
from worker.ingest import giving_way

pytestmark = pytest.mark.usefixtures("installed")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The length of each wait in seconds; the fake clock advances by as much."""
    times: list[float] = []
    monkeypatch.setattr(giving_way, "time", SimpleNamespace(monotonic=lambda: sum(times), sleep=times.append))
    return times


def test_preparing_waits_as_long_as_bulk_images_can_wait(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    monkeypatch.setattr(turns, "can_wait", lambda bundle: len(waits) < 2)
    giving_way.give_way("chest-1.2.0")
    assert len(waits) == 2


@pytest.mark.parametrize(("limit", "longest"), [(1.0, 1.0), (0.0, 0.0)])
def test_preparing_does_not_wait_for_ever(
    settings: Any, monkeypatch: pytest.MonkeyPatch, waits: list[float], limit: float, longest: float
) -> None:
    settings.GIVE_WAY_SECONDS = limit
    monkeypatch.setattr(turns, "can_wait", lambda bundle: True)
    giving_way.give_way("chest-1.2.0")
    assert sum(waits) == longest


@pytest.mark.parametrize(("role", "gives_way"), [("bulk", True), ("ingest", False)])
def test_only_the_worker_for_bulk_images_gives_way(
    settings: Any,
    waits: list[float],
    upload: Callable[..., Image],
    prepared: Callable[..., Image],
    role: str,
    gives_way: bool,
) -> None:
    settings.WORKER_ROLE = role
    prepared(1, status=Status.READY)  # somebody waits for it
    image = upload(priority="bulk")
    assert tasks.ingest(str(image.pk)) == "ready"
    assert bool(waits) is gives_way
