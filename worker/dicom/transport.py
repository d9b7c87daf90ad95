"""Connections with time limits, which use no more memory than an image.

pynetdicom waits without limit for the rest of a message and for a TLS handshake, the latter in the thread that accepts
connections; and it accepts messages of any length. The classes here set limits. pynetdicom also polls for work a
thousand times a second, in two threads for each association; here these threads are woken instead, since parallel
senders slow each other down otherwise: https://github.com/pydicom/pynetdicom/issues/917
"""

import logging
import queue
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.conf import settings
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from worker.dicom.messages import Messages
from worker.dicom.places import Places

logger = logging.getLogger(__name__)
TcpSocket = socket.socket

#: The longest PDU that is accepted, and the maximum that peers are offered: fewer, longer PDUs are faster.
LONGEST_PDU, PDU = 2**20, 2**17
#: Connections beyond DICOM_ASSOCIATIONS that are accepted only to be rejected with "too many associations".
TO_BE_REJECTED = 32
#: How long an association waits to be woken before it checks its timers.
IDLE_SECONDS = 0.1
#: How long a process waits so that another one with fewer connections can accept the new one.
GIVE_WAY_SECONDS = 0.02


def acknowledge(connection: socket.socket) -> None:
    """Have the kernel acknowledge received data at once, where it supports that.

    Otherwise the acknowledgement is delayed, and a sender with Nagle's algorithm, such as DCMTK, waits 40 ms for it
    before it sends the end of an image.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class Outgoing(queue.Queue[Any]):
    """Queue of data to be sent to a peer. A new item wakes the thread that waits for the peer."""

    def __init__(self) -> None:
        super().__init__()
        self._wakes, self._woken = socket.socketpair()
        self._wakes.setblocking(False)
        self._woken.setblocking(False)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        with suppress(OSError):  # the thread is awake already, or has ended
            self._wakes.send(b"\0")

    def wait(self, *connections: socket.socket) -> bool:
        """Wait for something to send or to receive, and return whether there is something to receive.

        Raises:
            OSError, ValueError: a connection has ended.
        """
        readable, _, _ = select.select([self._woken, *connections], [], [], IDLE_SECONDS)
        if self._woken in readable:
            self._woken.recv(1024)
            readable.remove(self._woken)
        return bool(readable)

    def close(self) -> None:
        self._wakes.close()
        self._woken.close()


class Checkpoint(threading.Event):
    """The event at which an association waits for its turn; this one also waits for something to do."""

    def __init__(self) -> None:
        super().__init__()
        self.set()
        self.woken = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.woken.wait(IDLE_SECONDS)
        self.woken.clear()
        return super().wait(timeout)


class Incoming(queue.Queue[Any]):
    """Queue of a peer's complete requests. A new item wakes the answering thread; parts of a message do not."""

    def __init__(self, woken: threading.Event) -> None:
        super().__init__()
        self._woken = woken

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._woken.set()


class Socket(AssociationSocket):
    @property
    def ready(self) -> bool:
        """Like the base class, but wait a short time for something to arrive.

        While a complete request waits, nothing is read. Otherwise a peer that sends more requests without waiting for
        the responses, which we do not negotiate (PS3.7 D.3.3.3), would fill the memory.
        """
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        is_full = not self.assoc.dimse.msg_queue.empty()
        if not is_full and isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        outgoing: Any = self.assoc.dul.to_provider_queue
        try:
            acknowledge(connection)
            if is_full:
                outgoing.wait()  # the response to the request before this one wakes it
                return False
            return bool(outgoing.wait(connection))
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # the connection is closed (PS3.8 9.2.3)
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """Like the base class, but with one time limit for the whole PDU.

        Raises:
            OSError: the peer is silent, too slow, or announces too long a PDU. The connection is then closed.
        """
        if nr_bytes > LONGEST_PDU:
            raise OSError(f"a PDU of {nr_bytes} bytes was announced")
        content = bytearray(nr_bytes)
        remaining = memoryview(content)
        deadline = time.monotonic() + settings.DICOM_SILENT_SECONDS
        while remaining and self.socket:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            acknowledge(self.socket)
            if not (number := self.socket.recv_into(remaining)):
                break
            remaining = remaining[number:]
        return content[: nr_bytes - len(remaining)] if remaining else content


class Ending(Association):
    """An association that always ends its second thread.

    In pynetdicom that thread would run for ever if the peer proposes something invalid.

    Attributes:
        at_end: called when the association has ended. pynetdicom has no event that covers every way of ending.
    """

    at_end: Callable[[], None] | None = None

    def run(self) -> None:
        try:
            super().run()
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            logger.warning("an association cannot be negotiated: %s", type(error).__name__)
        finally:
            self.dul.kill_dul()
            connection: Any = self.dul.socket
            connection.close()
            outgoing: Any = self.dul.to_provider_queue
            outgoing.close()
            if self.at_end:
                self.at_end()


class Handler(RequestHandler):
    """Starts a connection in its own thread."""

    def setup(self) -> None:
        self.request.settimeout(settings.DICOM_GREETING_SECONDS)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()

    def _create_association(self) -> Association:
        association = super()._create_association()
        # pynetdicom creates these objects itself and has no setting for other classes.
        association_socket: Any = association.dul.socket
        association_socket.__class__, association.__class__, association.dimse.__class__ = Socket, Ending, Messages
        association.dul.to_provider_queue = Outgoing()
        checkpoint = association._reactor_checkpoint = Checkpoint()
        association.dul.to_user_queue = Incoming(checkpoint.woken)
        association.dimse.msg_queue = Incoming(checkpoint.woken)
        return association


class SharedContexts(list[PresentationContext]):
    """The supported contexts. pynetdicom copies them for each association, but never changes the copy."""

    def __deepcopy__(self, _: Mapping[int, Any]) -> "SharedContexts":
        return self


class Server(ThreadedAssociationServer):
    """Accepts connections. Each TLS handshake runs in the connection's own thread."""

    daemon_threads = True
    request_queue_size = 64
    socket: TcpSocket  # pynetdicom's annotation allows None, which occurs only after the end
    places: Places  # the listener sets it before connections are accepted

    def server_activate(self) -> None:
        super().server_activate()
        self.socket.setblocking(False)  # every process is notified of a connection, and one gets it
        self.contexts = SharedContexts(self.contexts)

    def get_request(self) -> Any:
        count = len(self.active_associations)
        self.places.note(count)
        if self.places.others_have_fewer():  # busy processes are often notified first
            time.sleep(GIVE_WAY_SECONDS)
        connection, address = self.socket.accept()
        self.places.note(count + 1)
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return len(self.active_associations) < settings.DICOM_ASSOCIATIONS + TO_BE_REJECTED

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.warning("the connection from %s was not established: %s", client_address[0], sys.exc_info()[1])
