"""The listener's process: it listens, and reports that it does, until it is told to stop."""

import logging
import signal
import socket
import threading
import time
import warnings
from functools import partial
from typing import Any

import pydicom.config
import pynetdicom
from django.conf import settings
from pynetdicom import AE

from webapp.ops import liveness, services
from worker.dicom import contexts, transport
from worker.dicom.database import STOP_SECONDS
from worker.dicom.receiver import Receiver
from worker.process import exposition, memory, presence

logger = logging.getLogger(__name__)

#: How often the thread that takes connections looks whether it is to stop.
POLL_SECONDS = 0.5


class Listener:
    """A port that takes DICOM associations."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self.entity = AE(settings.DICOM_AE_TITLE)
        contexts.add_to(self.entity)
        self.entity.maximum_pdu_size = transport.PDU
        # What counts is what the receiver has admitted: a peer that says nothing takes nobody's place.
        self.entity.maximum_associations = settings.DICOM_ASSOCIATIONS + transport.TO_BE_REJECTED
        self.entity.acse_timeout = settings.DICOM_GREETING_SECONDS
        self.entity.dimse_timeout = self.entity.network_timeout = settings.DICOM_SILENT_SECONDS
        self._server: Any = None

    def start(self) -> int:
        """Listen in a thread of its own; the port.

        Raises:
            OSError: the port is taken, or a file for TLS cannot be used.
        """
        self._server = self.entity.make_server(
            (settings.DICOM_HOST, settings.DICOM_PORT),
            evt_handlers=self.receiver.handlers(),
            server_class=transport.Server,
            request_handler=transport.Handler,
            ssl_context=transport.tls(),
        )
        # As start_server of pynetdicom does, which takes no classes of ours: shutdown() takes the server off this list.
        self.entity._servers.append(self._server)
        serve = partial(self._server.serve_forever, POLL_SECONDS)
        threading.Thread(target=serve, name="listener", daemon=True).start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Take no more, and end what is connected. Whoever is told of no success sends again."""
        self._server.shutdown()
        until = time.monotonic() + STOP_SECONDS
        for association in self.entity.active_associations:
            association.abort(block=False)
        while self.entity.active_associations and time.monotonic() < until:
            time.sleep(0.05)
        for left in self.entity.active_associations:  # a peer that takes nothing in
            connection: Any = left.dul.socket
            connection.close()
        self.receiver.close()


def keep_quiet() -> None:
    """Have the libraries write nothing of what they read: it is about patients."""
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"
    for name in ("pydicom", "pynetdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="py(net)?dicom")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE


def run() -> int:
    """Listen until this process is stopped; its exit status."""
    keep_quiet()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    listener = Listener()
    try:
        port = listener.start()
    except OSError as error:
        logger.error("cannot listen at %s:%s: %s", settings.DICOM_HOST, settings.DICOM_PORT, error)
        return 1
    logger.info("%s listens at %s:%d", settings.DICOM_AE_TITLE, settings.DICOM_HOST, port)
    exposition.serve()
    name = f"dicom@{socket.gethostname()}"
    presence.attempt(services.replace_worker, presence.WORKER, name)
    liveness.mark(healthy=True)
    while True:
        presence.attempt(services.renew_worker, presence.WORKER, name, "dicom", ready=True, memory=memory.resident())
        liveness.renew()
        if stopped.wait(presence.EVERY):
            break
    liveness.mark(healthy=False)
    presence.attempt(services.forget_worker, presence.WORKER)
    listener.stop()
    return 0
