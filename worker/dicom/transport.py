"""Connections that end in time, and hold no more memory than an image.

pynetdicom waits without end for the rest of a message that a peer began, and for its TLS handshake, with the port's own
thread; and it takes messages of any length. Here each of them has a limit. It also looks a thousand times a second
whether there is something to do, by two threads for each association; here they are woken.
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

#: The longest PDU that is taken, and the one that peers are told: fewer of these are faster.
LONGEST_PDU, PDU = 2**20, 2**17
#: Connections beyond DICOM_ASSOCIATIONS that may be open to be told that these are too many.
TO_BE_REJECTED = 32
#: How long an association waits to be woken before it looks at its timers.
IDLE_SECONDS = 0.1
#: How long a process leaves a connection to another one that has fewer.
GIVE_WAY_SECONDS = 0.02


def acknowledge(connection: socket.socket) -> None:
    """Have the kernel acknowledge at once what has come, where it can do so.

    It does that late otherwise, and a sender that has Nagle's algorithm, as DCMTK's have, waits for it with the end of
    an image: for 40 ms.
    """
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class Outgoing(queue.Queue[Any]):
    """What is to be sent to a peer. It wakes the thread that waits for the peer."""

    def __init__(self) -> None:
        super().__init__()
        self._wakes, self._woken = socket.socketpair()
        self._wakes.setblocking(False)
        self._woken.setblocking(False)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        with suppress(OSError):  # it is awake, or has ended
            self._wakes.send(b"\0")

    def wait(self, connection: socket.socket) -> bool:
        """Wait for something to send or to receive; whether there is something to receive.

        Raises:
            OSError, ValueError: the connection has ended.
        """
        found, _, _ = select.select([connection, self._woken], [], [], IDLE_SECONDS)
        if self._woken in found:
            self._woken.recv(1024)
        return connection in found

    def close(self) -> None:
        self._wakes.close()
        self._woken.close()


class Checkpoint(threading.Event):
    """Where an association waits for its turn, and here for something to do as well."""

    def __init__(self) -> None:
        super().__init__()
        self.set()
        self.woken = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.woken.wait(IDLE_SECONDS)
        self.woken.clear()
        return super().wait(timeout)


class Incoming(queue.Queue[Any]):
    """What a peer asks for. It wakes the thread that answers, which the parts of a message do not."""

    def __init__(self, woken: threading.Event) -> None:
        super().__init__()
        self._woken = woken

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._woken.set()


class Socket(AssociationSocket):
    @property
    def ready(self) -> bool:
        """As of the base class, after some time for something to come."""
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        outgoing: Any = self.assoc.dul.to_provider_queue
        try:
            acknowledge(connection)
            return bool(outgoing.wait(connection))
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # the connection is closed (PS3.8 9.2.3)
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """As of the base class, within a time for all of it.

        Raises:
            OSError: the peer is silent, too slow, or announces too much. The connection is then closed.
        """
        if nr_bytes > LONGEST_PDU:
            raise OSError(f"a PDU of {nr_bytes} bytes was announced")
        content = bytearray(nr_bytes)
        rest = memoryview(content)
        deadline = time.monotonic() + settings.DICOM_SILENT_SECONDS
        while rest and self.socket:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            acknowledge(self.socket)
            if not (number := self.socket.recv_into(rest)):
                break
            rest = rest[number:]
        return content[: nr_bytes - len(rest)] if rest else content


class Ending(Association):
    """pynetdicom's, whose other thread would go on for ever where its peer asks for something that cannot be.

    Attributes:
        at_end: called when it has ended. pynetdicom has no event that tells of each end.
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
    """The beginning of a connection, in a thread of its own."""

    def setup(self) -> None:
        self.request.settimeout(settings.DICOM_GREETING_SECONDS)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()

    def _create_association(self) -> Association:
        association = super()._create_association()
        # All are made there, and no other class is taken for them.
        made: Any = association.dul.socket
        made.__class__, association.__class__, association.dimse.__class__ = Socket, Ending, Messages
        association.dul.to_provider_queue = Outgoing()
        checkpoint = association._reactor_checkpoint = Checkpoint()
        association.dul.to_user_queue = Incoming(checkpoint.woken)
        association.dimse.msg_queue = Incoming(checkpoint.woken)
        return association


class Offered(list[PresentationContext]):
    """What every association is offered. pynetdicom copies it for each, and changes nothing of it."""

    def __deepcopy__(self, _: Mapping[int, Any]) -> "Offered":
        return self


class Server(ThreadedAssociationServer):
    """Takes connections, and leaves the handshake of each to its own thread."""

    daemon_threads = True
    request_queue_size = 64
    socket: TcpSocket  # pynetdicom says None as well, which it is only after the end
    places: Places  # the listener sets it before connections are taken

    def server_activate(self) -> None:
        super().server_activate()
        self.socket.setblocking(False)  # each process is told of a connection, and one gets it
        self.contexts = Offered(self.contexts)

    def get_request(self) -> Any:
        number = len(self.active_associations)
        self.places.note(number)
        if self.places.others_have_fewer():  # though this one was told first, as busy ones often are
            time.sleep(GIVE_WAY_SECONDS)
        connection, address = self.socket.accept()
        self.places.note(number + 1)
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return len(self.active_associations) < settings.DICOM_ASSOCIATIONS + TO_BE_REJECTED

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.warning("the connection from %s was not established: %s", client_address[0], sys.exc_info()[1])
