"""Keep together the images of senders that wait at the same time."""

import fcntl
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from threading import BoundedSemaphore, Condition

from django.core.cache import caches

from webapp.dicom.models import Peer
from webapp.dicom.services.arrivals import AT_ONCE, Arrival, Failure, Outcome
from webapp.dicom.services.receiving import Send, receive
from webapp.studies import dispatch
from webapp.studies.models import Image
from worker.dicom.database import Threads
from worker.dicom.storing import NOT_AUTHORIZED, NotStored

#: Files that are stored at once meanwhile. Each waits for the disk, or for a store that has a connection for it.
STORERS = 8
#: So long an image waits for those of the senders that are just answered. A transaction takes about as long, for one
#: image or for many.
PATIENCE_SECONDS = 0.02
Kept = Outcome | Failure | NotStored


class Keeper:
    """Has one thread keep the images of all associations: it takes all that wait when it begins.

    One transaction takes hardly longer for many images than for one. Several at once would each have one image, and
    wait for each other: for their study's row, or with SQLite for the whole database.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Arrival, Future[Kept]]] = []
        self._more = Condition()
        self._number = 1  # of images that are kept together, where all senders of the last ones send again
        self._thread = Threads(1)
        self._storing = BoundedSemaphore(STORERS)
        self._messenger = ThreadPoolExecutor(1, "messages")  # waits for the broker
        # Locked by one process after the other. Where one is killed that holds it, the kernel unlocks it.
        self._lock = TemporaryFile()  # noqa: SIM115  (:meth:`close` closes it)

    def close(self) -> None:
        """Let what is being kept come to its end."""
        self._thread.close()
        self._messenger.shutdown(cancel_futures=True)  # the reconciler sends what is left
        self._lock.close()

    def keep(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Keep images, as :func:`webapp.dicom.services.receiving.receive` does, and maybe others along with them.

        Their files are stored before, so that nobody waits for the database while others wait for the disk.
        """
        for one in arrivals:
            with self._storing:
                one.store()
        waiting: list[tuple[Arrival, Future[Kept]]] = [(one, Future()) for one in arrivals]
        with self._more:
            self._waiting += waiting
            self._more.notify_all()
        self._thread.begin(self._keep_some)
        return [future.result() for _, future in waiting]

    def _keep_some(self) -> None:
        with self._more:
            self._more.wait_for(self._are_enough, PATIENCE_SECONDS)
            if not self._waiting:  # an earlier turn has kept what this one was begun for
                return
        with self._alone():
            self._keep_waiting()

    def _are_enough(self) -> bool:
        """Whether nobody is to be waited for."""
        return not 0 < len(self._waiting) < self._number

    def expect_one_less(self) -> None:
        """Wait no more for a sender that has ended."""
        with self._more:
            self._number -= 1
            self._more.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait here for the other processes, and not in the database: more images come meanwhile."""
        with suppress(OSError):  # the database keeps order as well
            fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def _send(self, step: str, images: Sequence[Image]) -> None:
        self._messenger.submit(dispatch.send, step, images)

    def _keep_waiting(self) -> None:
        with self._more:
            arrivals = dict(self._waiting[:AT_ONCE])
            del self._waiting[:AT_ONCE]
        if not arrivals:
            return
        try:
            outcomes = _kept(list(arrivals), self._send)
        except BaseException as error:
            for future in arrivals.values():
                future.set_exception(error)
            raise
        self._number = len(arrivals) + len(self._waiting)
        for one, future in arrivals.items():
            future.set_result(outcomes[one])


def _kept(arrivals: Sequence[Arrival], send: Send) -> dict[Arrival, Kept]:
    """Keep images, unless their senders were switched off or deleted since their associations began."""
    active = {sender: _is_active(sender) for sender in {one.peer.pk for one in arrivals}}
    welcome = [one for one in arrivals if active[one.peer.pk]]
    outcomes: dict[Arrival, Kept] = dict(zip(welcome, receive(welcome, send), strict=True))
    for one in arrivals:
        if one not in outcomes:
            one.drop()
            outcomes[one] = NotStored(NOT_AUTHORIZED, "This sender is not admitted any more.")
    return outcomes


def _is_active(sender: int) -> bool:
    """Whether there is a sender, and it may send; at most a second ago."""
    return bool(
        caches["process"].get_or_set(
            f"dicom_sender:{sender}", lambda: Peer.objects.filter(pk=sender, active=True).exists()
        )
    )
