"""Waiting for an image or a study to change, cheaply.

However many clients wait in a process, one query every tenth of a second asks the database for all of them, and no
thread is held while nothing happens.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections
from django.db.models import Count

from webapp.studies.models import Archive, Image

logger = logging.getLogger(__name__)

INTERVAL = 0.1
CHUNK = 500


class Hub:
    """All who wait in one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, UUID], list[tuple[str, asyncio.Future[str]]]] = {}
        self._poller: asyncio.Task[None] | None = None

    async def wait(self, kind: str, pk: UUID, seen: str, seconds: float) -> str:
        """Wait until the state differs from ``seen``, at most ``seconds``; returns the last known state."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        entry = (seen, future)
        self._waiting.setdefault((kind, pk), []).append(entry)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return seen
        finally:
            entries = self._waiting.get((kind, pk), [])
            with contextlib.suppress(ValueError):
                entries.remove(entry)
            if not entries:
                self._waiting.pop((kind, pk), None)

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(INTERVAL)
            keys = list(self._waiting)
            images = [pk for kind, pk in keys if kind == "image"]
            studies = [pk for kind, pk in keys if kind == "study"]
            try:
                states = await sync_to_async(_states, thread_sensitive=False)(images, studies)
            except DatabaseError as error:
                # Whoever waits goes on waiting: the next round may be answered again.
                logger.warning("the database does not answer those who wait (%s)", error)
                continue
            for key, state in states.items():
                for seen, future in self._waiting.get(key, []):
                    if state != seen and not future.done():
                        future.set_result(state)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


async def wait_for_change(kind: str, pk: UUID, seen: str, seconds: float) -> str:
    """Wait for an ``image`` or a ``study`` to leave a state.

    Args:
        kind: ``image`` or ``study``.
        pk: its id. Whether the client may see it must have been checked.
        seen: the state from :func:`image_state` or :func:`study_states` that the client knows.
        seconds: at most.

    Returns:
        The last known state, equal to ``seen`` where nothing changed in time.
    """
    loop = asyncio.get_running_loop()
    for closed in [known for known in _hubs if known.is_closed()]:
        del _hubs[closed]
    hub = _hubs.setdefault(loop, Hub())
    return await hub.wait(kind, pk, seen, seconds)


def study_states(ids: Iterable[UUID]) -> dict[UUID, str]:
    """A text for each study that changes whenever its progress does."""
    ids = list(ids)
    counts = Image.objects.filter(study__in=ids).order_by("study", "status").values_list("study", "status")
    states: dict[UUID, str] = dict.fromkeys(ids, "")
    for study, status, n in counts.annotate(n=Count("pk")):
        states[study] += f"{status}={n};"
    for study, state, n in (
        Archive.objects.filter(study__in=ids)
        .order_by("study", "state")
        .values_list("study", "state")
        .annotate(n=Count("pk"))
    ):
        states[study] += f"archive.{state}={n};"
    return states


def _states(images: list[UUID], studies: list[UUID]) -> dict[tuple[str, UUID], str]:
    try:
        return _ask(images, studies)
    except DatabaseError:
        # This thread serves no request, at whose end Django would drop a connection that broke.
        close_old_connections()
        raise


def _ask(images: list[UUID], studies: list[UUID]) -> dict[tuple[str, UUID], str]:
    states: dict[tuple[str, UUID], str] = {}
    for start in range(0, len(images), CHUNK):
        rows = Image.objects.filter(pk__in=images[start : start + CHUNK]).values_list("pk", "status")
        states.update({("image", pk): status for pk, status in rows})
    if studies:
        states.update({("study", pk): state for pk, state in study_states(studies).items()})
    return states
