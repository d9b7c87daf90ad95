"""The listener's processes: a parent that opens the port and reports, and children that receive the images.

Python runs one thread of a process at a time, so a single process could use only one processor.
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
from worker.dicom.listening import POLL_SECONDS, Listener
from worker.dicom.quiet import keep_quiet
from worker.process import exposition, memory, presence

logger = logging.getLogger(__name__)

#: A process gets an item from this queue when it should stop.
Stop = SimpleQueue[None]


def run() -> int:
    """Listen until this process is stopped, and return the exit status."""
    keep_quiet()
    stop: Stop = SimpleQueue()  # not an Event: a signal handler could wait for a lock that this thread holds
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.put(None))
    listener = Listener(settings.DICOM_PROCESSES)
    try:
        port = listener.open()
    except OSError as error:
        logger.error("cannot listen at %s:%s: %s", settings.DICOM_HOST, settings.DICOM_PORT, error)
        return 1
    gc.freeze()  # the children share the memory that garbage collection does not touch
    children = [_start_child(listener, place, stop) for place in range(settings.DICOM_PROCESSES)]
    logger.info("%s listens at %s:%d", settings.DICOM_AE_TITLE, settings.DICOM_HOST, port)
    exposition.serve()
    name = f"dicom@{socket.gethostname()}"
    presence.attempt(services.replace_worker, presence.WORKER, name)
    liveness.mark(healthy=True)
    last_report = -presence.EVERY
    while not _should_stop(stop):
        for place, child in enumerate(children):
            if not child.is_alive():
                logger.error("a process of the listener ended with %s; another one begins", child.exitcode)
                listener.places.clear(place)
                children[place] = _start_child(listener, place, stop)
        if time.monotonic() - last_report >= presence.EVERY:
            last_report = time.monotonic()
            used = memory.resident()
            presence.attempt(services.renew_worker, presence.WORKER, name, "dicom", ready=True, memory=used)
            liveness.renew()
    liveness.mark(healthy=False)
    presence.attempt(services.forget_worker, presence.WORKER)
    for child in children:
        child.terminate()
    for child in children:  # each ends in time, or is killed with this process
        child.join()
    return 0


def _start_child(listener: Listener, place: int, stop: Stop) -> ForkProcess:
    arguments = (listener, place, stop, os.getpid())
    child = multiprocessing.get_context("fork").Process(target=_run_child, args=arguments)
    child.start()
    return child


def _run_child(listener: Listener, place: int, stop: Stop, parent: int) -> None:
    """Receive images in a child, until it should stop or its parent is gone (the next parent needs the port)."""
    exposition.enter_child(place)
    gc.set_threshold(20_000)  # collect rarely: pynetdicom's server also collects after associations
    listener.places.process = place
    listener.start()
    while not _should_stop(stop):
        if os.getppid() != parent:
            os._exit(1)
    listener.stop()


def _should_stop(stop: Stop) -> bool:
    """Wait POLL_SECONDS for the signal to stop; whether it came."""
    with suppress(Empty):
        stop.get(timeout=POLL_SECONDS)
        return True
    return False
