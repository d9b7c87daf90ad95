"""Messages of images that wait for the device, and which of them make up its next batch."""

import time
from collections import deque
from collections.abc import Collection
from typing import Any

#: That a message of bulk images is kept. A broker gives out again what was not acknowledged for some minutes.
KEEP_SECONDS = 60


#: Part of what is read that interactive images leave to bulk ones that wait.
BULK_SHARE = 0.25


def is_bulk(request: Any) -> bool:
    """Whether a message is for all bulk images that wait, not for the image that it names."""
    bulk = str((request.delivery_info or {}).get("routing_key", "")).endswith(".bulk")
    return bulk and not request.kwargs.get("alone")


class Lanes:
    """Messages that wait for the device.

    Attributes:
        max_batch: images a batch holds at most.
        long: images that one of interactive images only may hold however few wait.
        short: images that it holds at most while bulk images wait.
        slow: whether each image of a batch makes it take longer, so that none joins one for which a person waits, but
            those that bulk images have a right to.
    """

    def __init__(self, max_batch: int) -> None:
        self.max_batch = self.long = self.short = max_batch
        self.slow = False
        self.alone: deque[Any] = deque()
        self.interactive: deque[Any] = deque()
        #: One message at most, save after a batch was lost; and when it came.
        self.bulk: deque[Any] = deque()
        self.bulk_since = 0.0
        self._turn = 0
        #: Places that interactive images have taken from bulk ones, which waited.
        self._owed = 0.0

    def __len__(self) -> int:
        return len(self.alone) + len(self.interactive) + len(self.bulk)

    def add(self, request: Any) -> bool:
        """Keep a message, unless another one says the same.

        Returns:
            Whether it is kept.
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
        """The messages of a batch that are done with. After a full one more bulk images may wait: their message is
        kept, unless there is a newer one or the broker might miss it.
        """
        kept = []
        if full and not self.bulk and time.monotonic() - self.bulk_since < KEEP_SECONDS:
            kept = [request for request in requests if is_bulk(request)]
            self.bulk.extend(kept)
        return [request for request in requests if request not in kept]

    def suspect(self, requests: Collection[Any]) -> None:
        """Put a batch that brought its worker down back in front, each to be read alone.

        What the batch held of bulk images, the reconciler sends again, alone. Their message stays.
        """
        self.bulk.extend(request for request in requests if is_bulk(request))
        self.alone.extendleft(reversed([request for request in requests if not is_bulk(request)]))

    def next_batch(self) -> list[Any]:
        """Take the next batch; empty where nothing waits. One message stands for all bulk images, and is the last.

        Suspects go one at a time, and every second turn only, so that a series of them does not hold up the rest.
        """
        self._turn += 1
        others = self.interactive or self.bulk
        if self.alone and (self._turn % 2 or not others):
            return [self.alone.popleft()]
        places = self._places()
        kept = self._kept(places)
        batch = [self.interactive.popleft() for _ in range(min(len(self.interactive), places - kept))]
        joins = self.bulk and len(batch) < places and (kept or not (batch and self.slow))
        return [*batch, self.bulk.popleft()] if joins else batch

    def _places(self) -> int:
        """Images that the next batch may hold."""
        if self.bulk:
            return self.short
        # Where many people wait, half of them at once: who comes next has to wait for all of these in any case.
        return min(self.max_batch, max(self.long, len(self.interactive) // 2))

    def _kept(self, places: int) -> int:
        """Of the next batch's places those that interactive images leave to bulk ones."""
        if not (self.bulk and self.interactive):
            self._owed = 0
            return 0
        owed = self._owed + BULK_SHARE * min(len(self.interactive), places)
        self._owed = owed % 1
        return int(owed)
