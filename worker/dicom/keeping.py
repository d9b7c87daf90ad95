"""Store images from several senders together, if they arrive at the same time."""

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

#: Number of files that are stored at the same time. Each waits for the disk, or for a connection to the file store.
STORERS = 8
#: How long an image waits for the next images of senders that have just got a response. A transaction takes about as
#: long, for one image or for many.
PATIENCE_SECONDS = 0.02
Kept = Outcome | Failure | NotStored


class Keeper:
    """Saves the images of all associations in one thread, which takes all waiting images at once.

    A transaction takes hardly longer for many images than for one. Several transactions with one image each would wait
    for each other: for their study's row, or with SQLite for the whole database.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Arrival, Future[Kept]]] = []
        self._more = Condition()
        self._number = 1  # of images expected together, if all senders of the last ones send again
        self._thread = Threads(1)
        self._storing = BoundedSemaphore(STORERS)
        self._messenger = ThreadPoolExecutor(1, "messages")  # waits for the broker
        # One process at a time holds this lock. If that process is killed, the kernel releases it.
        self._lock = TemporaryFile()  # noqa: SIM115  (:meth:`close` closes it)

    def close(self) -> None:
        """Finish saving images."""
        self._thread.close()
        self._messenger.shutdown(cancel_futures=True)  # the reconciler sends the rest
        self._lock.close()

    def keep(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Save images like :func:`webapp.dicom.services.receiving.receive`, possibly together with others.

        Their files are stored first, so that no image waits for the database while another one waits for the disk.
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
            if not self._waiting:  # an earlier turn has saved these images already
                return
        with self._alone():
            self._keep_waiting()

    def _are_enough(self) -> bool:
        """Whether no further images are expected."""
        return not 0 < len(self._waiting) < self._number

    def expect_one_less(self) -> None:
        """Stop waiting for a sender whose association has ended."""
        with self._more:
            self._number -= 1
            self._more.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait here for the other processes, not in the database: more images arrive meanwhile."""
        with suppress(OSError):  # the database also keeps order
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
            outcomes = _save(list(arrivals), self._send)
        except BaseException as error:
            for future in arrivals.values():
                future.set_exception(error)
            raise
        self._number = len(arrivals) + len(self._waiting)
        for one, future in arrivals.items():
            future.set_result(outcomes[one])


def _save(arrivals: Sequence[Arrival], send: Send) -> dict[Arrival, Kept]:
    """Save images, unless their senders were switched off or deleted since their associations began."""
    active = {sender: _is_active(sender) for sender in {one.peer.pk for one in arrivals}}
    admitted = [one for one in arrivals if active[one.peer.pk]]
    outcomes: dict[Arrival, Kept] = dict(zip(admitted, receive(admitted, send), strict=True))
    for one in arrivals:
        if one not in outcomes:
            one.drop()
            outcomes[one] = NotStored(NOT_AUTHORIZED, "This sender is not admitted any more.")
    return outcomes


def _is_active(sender: int) -> bool:
    """Whether a sender exists and may send, cached for at most a second."""
    return bool(
        caches["process"].get_or_set(
            f"dicom_sender:{sender}", lambda: Peer.objects.filter(pk=sender, active=True).exists()
        )
    )
