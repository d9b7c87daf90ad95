"""Preparing in bulk gives way to the images that people wait for, and never for long."""

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
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited each time; the clock goes on by as much."""
    times: list[float] = []
    monkeypatch.setattr(giving_way, "time", SimpleNamespace(monotonic=lambda: sum(times), sleep=times.append))
    return times


def test_it_waits_as_long_as_bulk_images_can_wait(monkeypatch: pytest.MonkeyPatch, waited: list[float]) -> None:
    monkeypatch.setattr(turns, "can_wait", lambda bundle: len(waited) < 2)
    giving_way.give_way("chest-1.2.0")
    assert len(waited) == 2


@pytest.mark.parametrize(("limit", "longest"), [(1.0, 1.0), (0.0, 0.0)])
def test_it_does_not_wait_for_ever(
    settings: Any, monkeypatch: pytest.MonkeyPatch, waited: list[float], limit: float, longest: float
) -> None:
    settings.GIVE_WAY_SECONDS = limit
    monkeypatch.setattr(turns, "can_wait", lambda bundle: True)
    giving_way.give_way("chest-1.2.0")
    assert sum(waited) == longest


@pytest.mark.parametrize(("role", "gives_way"), [("bulk", True), ("ingest", False)])
def test_only_the_worker_for_bulk_images_gives_way(
    settings: Any,
    waited: list[float],
    upload: Callable[..., Image],
    prepared: Callable[..., Image],
    role: str,
    gives_way: bool,
) -> None:
    settings.WORKER_ROLE = role
    prepared(1, status=Status.READY)  # somebody's
    image = upload(priority="bulk")
    assert tasks.ingest(str(image.pk)) == "ready"
    assert bool(waited) is gives_way
