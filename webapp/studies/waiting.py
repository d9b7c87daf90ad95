"""Waiting for an image or a study to change, cheaply.

However many clients wait in a process, a few queries ask the database for all of them, in one thread with one
connection. They run when a message says that images have a final status (:mod:`webapp.studies.notices`). For studies,
and without Redis, they run every tenth of a second, or more often while few clients wait, only for images and not for
long.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from django.db import Error, close_old_connections

from webapp.studies import notices
from webapp.studies.choices import FINAL
from webapp.studies.models import Image, Study
from webapp.studies.states import StudyState, study_states

logger = logging.getLogger(__name__)

#: Seconds between queries: the most, the seconds for each image that clients wait for, and at least this share of the
#: time for which the latest client has waited.
INTERVAL, EACH, SHARE = 0.1, 0.01, 0.05
#: Seconds until the next query without a message, which may have been lost.
POLL_SECONDS = 0.5
#: Seconds that a request may take from its view to this module. A message in between may be about its image.
ARRIVAL_SECONDS = 0.1
CHUNK = 500


@dataclass(frozen=True)
class ImageState:
    """The part of an image that waiting requests check. The status is empty for a deleted image."""

    status: str = ""

    @property
    def is_final(self) -> bool:
        return self.status in (*FINAL, "")


State = ImageState | StudyState
Key = tuple[type[Image] | type[Study], UUID]


class Hub:
    """All waiting requests of a process, by the image or study that they wait for."""

    def __init__(self) -> None:
        self._waiting: dict[Key, dict[asyncio.Future[None], Callable[[State], bool]]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._latest = 0.0  # when the latest request came, by the event loop's clock
        self._notified_at = -ARRIVAL_SECONDS  # when the latest message came
        self._notified = asyncio.Event()
        self._listener: threading.Thread | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="waiting")

    async def until(self, key: Key, is_awaited: Callable[[State], bool]) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(key, {})[future] = is_awaited
        self._latest = loop.time()
        if self._listener is None and notices.are_available():
            self._listener = threading.Thread(target=self._listen, args=(loop,), name="notices", daemon=True)
            self._listener.start()
        if self._latest < self._notified_at + ARRIVAL_SECONDS:
            self._notified.set()
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            await future
        finally:
            del self._waiting[key][future]
            if not self._waiting[key]:
                del self._waiting[key]

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for _ in notices.received():
            if loop.is_closed():  # the process ends
                return
            loop.call_soon_threadsafe(self._notify, loop)

    def _notify(self, loop: asyncio.AbstractEventLoop) -> None:
        self._notified_at = loop.time()
        self._notified.set()

    async def _pause(self) -> None:
        """Wait until the next query. There are no messages about the progress of studies."""
        if self._listener is None or any(model is Study for model, _ in self._waiting):
            await asyncio.sleep(interval(self._waiting, asyncio.get_running_loop().time() - self._latest))
            return
        await asyncio.sleep(interval(self._waiting, 0))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._notified.wait(), POLL_SECONDS)

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await self._pause()
            self._notified.clear()
            images = [pk for model, pk in self._waiting if model is Image]
            studies = [pk for model, pk in self._waiting if model is Study]
            try:
                states = await loop.run_in_executor(self._thread, _states, images, studies)
            except Error as error:
                # The requests keep waiting, because the next round may succeed.
                logger.warning("the database does not answer, clients keep waiting (%s)", error)
                continue
            for key, state in states.items():
                for future, is_awaited in self._waiting.get(key, {}).items():
                    if not future.done() and is_awaited(state):
                        future.set_result(None)


def interval(waiting: Collection[Key], seconds: float) -> float:
    """Return the seconds until the next query. Queries for studies count images, so they are never more frequent.

    Args:
        waiting: the images and studies that requests wait for.
        seconds: how long the latest request has waited.
    """
    studies = any(model is Study for model, _ in waiting)
    return INTERVAL if studies else min(INTERVAL, max(EACH * len(waiting), SHARE * seconds))


_hub = Hub()


async def until_final(model: type[Image] | type[Study], pk: UUID) -> None:
    """Wait until an image or a study has a final status or is deleted.

    The caller has checked that the client may see it.
    """
    await _hub.until((model, pk), lambda state: state.is_final)


async def until_changed(model: type[Image] | type[Study], pk: UUID, seen: State) -> None:
    """Wait until the state of an image or a study differs from the one that the client has seen.

    The caller has checked that the client may see it.
    """
    await _hub.until((model, pk), lambda state: state != seen)


def image_states(ids: Iterable[UUID]) -> dict[UUID, ImageState]:
    """Return the state of each image."""
    states = dict.fromkeys(ids, ImageState())
    ids = list(states)
    for start in range(0, len(ids), CHUNK):
        rows = Image.objects.filter(pk__in=ids[start : start + CHUNK]).values_list("pk", "status")
        states.update((pk, ImageState(status)) for pk, status in rows)
    return states


def _states(images: list[UUID], studies: list[UUID]) -> dict[Key, State]:
    try:
        return {
            **{(Image, pk): state for pk, state in image_states(images).items()},
            **{(Study, pk): state for pk, state in study_states(studies).items()},
        }
    except Error:
        # This thread serves no requests, so Django does not close broken connections here.
        close_old_connections()
        raise
