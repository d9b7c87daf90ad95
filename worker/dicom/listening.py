"""The port at which scanners and PACS are taken."""

import logging
import threading
import time
import warnings
from functools import partial
from typing import Any

import pydicom.config
import pynetdicom
from django.conf import settings
from pynetdicom import AE

from worker.dicom import certificates, contexts, transport
from worker.dicom.database import STOP_SECONDS
from worker.dicom.places import Places
from worker.dicom.receiver import Receiver

#: How often the thread that takes connections looks whether it is to stop.
POLL_SECONDS = 0.5


class Listener:
    """A port that takes DICOM associations.

    It is opened once. Then each of the processes that are forked takes what comes there.
    """

    def __init__(self, processes: int = 1) -> None:
        self.places = Places(processes)
        self.receiver = Receiver(self.places)
        self.entity = AE(settings.DICOM_AE_TITLE)
        contexts.add_to(self.entity)
        self.entity.maximum_pdu_size = transport.PDU
        # What counts is what the receiver has admitted: a peer that says nothing takes nobody's place.
        self.entity.maximum_associations = settings.DICOM_ASSOCIATIONS + transport.TO_BE_REJECTED
        self.entity.acse_timeout = settings.DICOM_GREETING_SECONDS
        self.entity.dimse_timeout = self.entity.network_timeout = settings.DICOM_SILENT_SECONDS
        self._server: Any = None

    def open(self) -> int:
        """Open the port, which is returned.

        Raises:
            OSError: the port is taken, or a file for TLS cannot be used.
        """
        self._server = self.entity.make_server(
            (settings.DICOM_HOST, settings.DICOM_PORT),
            evt_handlers=self.receiver.handlers(),
            server_class=transport.Server,
            request_handler=transport.Handler,
            ssl_context=certificates.tls(),
        )
        self._server.places = self.places
        # As start_server of pynetdicom does, which takes no classes of ours: shutdown() takes the server off this list.
        self.entity._servers.append(self._server)
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Take associations, in a thread of its own."""
        serve = partial(self._server.serve_forever, POLL_SECONDS)
        threading.Thread(target=serve, name="listener", daemon=True).start()

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
