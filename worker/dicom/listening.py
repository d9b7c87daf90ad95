"""The port to which scanners and PACS connect."""

import threading
import time
from functools import partial
from typing import Any

from django.conf import settings
from pynetdicom import AE

from worker.dicom import certificates, contexts, transport
from worker.dicom.database import STOP_SECONDS
from worker.dicom.places import Places
from worker.dicom.receiver import Receiver

#: Interval at which the accepting thread checks whether it should stop.
POLL_SECONDS = 0.5


class Listener:
    """A port that accepts DICOM associations.

    The port is opened once. Each forked process then accepts connections on it.
    """

    def __init__(self, processes: int = 1) -> None:
        self.places = Places(processes)
        self.receiver = Receiver(self.places)
        self.entity = AE(settings.DICOM_AE_TITLE)
        contexts.add_to(self.entity)
        self.entity.maximum_pdu_size = transport.PDU
        # The receiver enforces DICOM_ASSOCIATIONS. A connected peer that sends nothing does not count towards it.
        self.entity.maximum_associations = settings.DICOM_ASSOCIATIONS + transport.TO_BE_REJECTED
        self.entity.acse_timeout = settings.DICOM_GREETING_SECONDS
        self.entity.dimse_timeout = self.entity.network_timeout = settings.DICOM_SILENT_SECONDS
        self._server: Any = None

    def open(self) -> int:
        """Open the port and return its number.

        Raises:
            OSError: the port is in use, or a TLS file cannot be used.
        """
        self._server = self.entity.make_server(
            (settings.DICOM_HOST, settings.DICOM_PORT),
            evt_handlers=self.receiver.handlers(),
            server_class=transport.Server,
            request_handler=transport.Handler,
            ssl_context=certificates.tls(),
        )
        self._server.places = self.places
        # Done as in pynetdicom's start_server, which accepts no custom classes. shutdown() removes it from this list.
        self.entity._servers.append(self._server)
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Accept associations in a separate thread."""
        serve = partial(self._server.serve_forever, POLL_SECONDS)
        threading.Thread(target=serve, name="listener", daemon=True).start()

    def stop(self) -> None:
        """Accept no more associations and end the open ones. Senders repeat what was not acknowledged."""
        self._server.shutdown()
        deadline = time.monotonic() + STOP_SECONDS
        for association in self.entity.active_associations:
            association.abort(block=False)
        while self.entity.active_associations and time.monotonic() < deadline:
            time.sleep(0.05)
        for association in self.entity.active_associations:  # the peer does not read the A-ABORT
            connection: Any = association.dul.socket
            connection.close()
        self.receiver.close()
