"""The listener's processes: one that opens the port and reports, and its children, which take what is sent there.

Python runs one thread of a process at a time, so that one process would take no more than one processor gives.
"""

import gc
import logging
import multiprocessing
import os
import signal
import socket
import time
from contextlib import suppress
from multiprocessing.context import ForkProcess
from queue import Empty, SimpleQueue

from django.conf import settings

from webapp.ops import liveness, services
from worker.dicom.listening import POLL_SECONDS, Listener, keep_quiet
from worker.process import exposition, memory, presence

logger = logging.getLogger(__name__)

#: What a process finds in it when it has been told to stop.
Stop = SimpleQueue[None]


def run() -> int:
    """Listen until this process is stopped; its exit status."""
    keep_quiet()
    stop: Stop = SimpleQueue()  # not an Event, whose lock a handler would wait for that this thread holds
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.put(None))
    listener = Listener(settings.DICOM_PROCESSES)
    try:
        port = listener.open()
    except OSError as error:
        logger.error("cannot listen at %s:%s: %s", settings.DICOM_HOST, settings.DICOM_PORT, error)
        return 1
    gc.freeze()  # the children share what no collection touches
    children = [_begin(listener, place, stop) for place in range(settings.DICOM_PROCESSES)]
    logger.info("%s listens at %s:%d", settings.DICOM_AE_TITLE, settings.DICOM_HOST, port)
    exposition.serve()
    name = f"dicom@{socket.gethostname()}"
    presence.attempt(services.replace_worker, presence.WORKER, name)
    liveness.mark(healthy=True)
    reported = -presence.EVERY
    while not _told(stop):
        for place, child in enumerate(children):
            if not child.is_alive():
                logger.error("a process of the listener ended with %s; another one begins", child.exitcode)
                listener.places.clear(place)
                children[place] = _begin(listener, place, stop)
        if time.monotonic() - reported >= presence.EVERY:
            reported = time.monotonic()
            used = memory.resident()
            presence.attempt(services.renew_worker, presence.WORKER, name, "dicom", ready=True, memory=used)
            liveness.renew()
    liveness.mark(healthy=False)
    presence.attempt(services.forget_worker, presence.WORKER)
    for child in children:
        child.terminate()
    for child in children:  # they end in time, or are killed with this process
        child.join()
    return 0


def _begin(listener: Listener, place: int, stop: Stop) -> ForkProcess:
    given = (listener, place, stop, os.getpid())
    child = multiprocessing.get_context("fork").Process(target=_take, args=given)
    child.start()
    return child


def _take(listener: Listener, place: int, stop: Stop, parent: int) -> None:
    """Take what is sent, in a child, until it is told to stop or its parent is gone, whose successor needs the port."""
    exposition.enter_child(place)
    gc.set_threshold(20_000)  # seldom: pynetdicom's server also collects what associations leave
    listener.places.process = place
    listener.start()
    while not _told(stop):
        if os.getppid() != parent:
            os._exit(1)
    listener.stop()


def _told(stop: Stop) -> bool:
    """Wait a little for being told to stop; whether it was."""
    with suppress(Empty):
        stop.get(timeout=POLL_SECONDS)
        return True
    return False
