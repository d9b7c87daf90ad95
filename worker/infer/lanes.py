"""The messages that wait for the device, and the choice of those for its next batch."""

import time
from collections import deque
from collections.abc import Collection
from typing import Any

#: Seconds that a message for bulk images is kept. A broker redelivers messages that stay unacknowledged for minutes.
KEEP_SECONDS = 60


#: Share of places that interactive images leave to bulk images that wait.
BULK_SHARE = 0.25


def is_bulk(request: Any) -> bool:
    """Whether a message stands for all bulk images that wait, and not for the image that it names."""
    bulk = str((request.delivery_info or {}).get("routing_key", "")).endswith(".bulk")
    return bulk and not request.kwargs.get("alone")


class Lanes:
    """Messages that wait for the device.

    Attributes:
        max_batch: the most images that a batch may hold.
        long: images that a batch of interactive images only may hold, even if few wait.
        short: the most images that a batch may hold while bulk images wait.
        slow: whether each further image makes a batch take longer. Bulk images then join a batch for which a person
            waits only up to their share.
    """

    def __init__(self, max_batch: int) -> None:
        self.max_batch = self.long = self.short = max_batch
        self.slow = False
        self.alone: deque[Any] = deque()
        self.interactive: deque[Any] = deque()
        #: At most one message, except after a batch was lost; and the time at which it arrived.
        self.bulk: deque[Any] = deque()
        self.bulk_since = 0.0
        self._turn = 0
        #: Places that interactive images have taken from bulk images that waited.
        self._owed = 0.0

    def __len__(self) -> int:
        return len(self.alone) + len(self.interactive) + len(self.bulk)

    def add(self, request: Any) -> bool:
        """Keep a message, unless another one has the same meaning.

        Returns:
            Whether the message was kept.
        """
        if request.kwargs.get("alone"):
            self.alone.append(request)
        elif not is_bulk(request):
            self.interactive.append(request)
        elif self.bulk:
            return False
        else:
            self.bulk.append(request)
            self.bulk_since = time.monotonic()
        return True

    def done(self, requests: Collection[Any], *, full: bool) -> list[Any]:
        """Return the messages of a batch that can be acknowledged. After a full batch more bulk images may wait: their
        message is kept, unless there is a newer one or the broker might soon redeliver it.
        """
        kept = []
        if full and not self.bulk and time.monotonic() - self.bulk_since < KEEP_SECONDS:
            kept = [request for request in requests if is_bulk(request)]
            self.bulk.extend(kept)
        return [request for request in requests if request not in kept]

    def suspect(self, requests: Collection[Any]) -> None:
        """Put the messages of a batch that crashed its worker back in front, each to be read alone.

        The reconciler sends the bulk images of the batch again, each alone. Their shared message stays.
        """
        self.bulk.extend(request for request in requests if is_bulk(request))
        self.alone.extendleft(reversed([request for request in requests if not is_bulk(request)]))

    def next_batch(self) -> list[Any]:
        """Take the next batch; empty if nothing waits. One message stands for all bulk images, and it comes last.

        Suspects go one at a time, and only in every second turn, so that a series of them does not delay the rest.
        """
        self._turn += 1
        has_others = self.interactive or self.bulk
        if self.alone and (self._turn % 2 or not has_others):
            return [self.alone.popleft()]
        places = self._places()
        bulk_share = self._bulk_share(places)
        batch = [self.interactive.popleft() for _ in range(min(len(self.interactive), places - bulk_share))]
        joins = self.bulk and len(batch) < places and (bulk_share or not (batch and self.slow))
        return [*batch, self.bulk.popleft()] if joins else batch

    def _places(self) -> int:
        """Images that the next batch may hold."""
        if self.bulk:
            return self.short
        # If many people wait, take half of them at once: a later arrival has to wait for all of these in any case.
        return min(self.max_batch, max(self.long, len(self.interactive) // 2))

    def _bulk_share(self, places: int) -> int:
        """The places of the next batch that interactive images leave to bulk ones."""
        if not (self.bulk and self.interactive):
            self._owed = 0
            return 0
        owed = self._owed + BULK_SHARE * min(len(self.interactive), places)
        self._owed = owed % 1
        return int(owed)
