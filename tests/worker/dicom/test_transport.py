"""Options that the listener sets on its connections."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import modality
from worker.dicom.transport import Ending

pytestmark = modality.committed_rows


def connections() -> Iterator[socket.socket]:
    """The listener's ends of the open connections."""
    for thread in threading.enumerate():
        if isinstance(thread, Ending):
            transport: Any = thread.dul.socket
            yield transport.socket


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="only Linux has TCP_QUICKACK")
def test_data_is_acknowledged_at_once_also_after_answers(port: int) -> None:
    """The kernel delays this once both sides take turns, and a sender may hold back the end of an image until then."""
    with modality.connected(port) as association:
        for _ in range(20):
            assert association.send_c_echo().Status == 0
        [connection] = connections()
        deadline = time.monotonic() + 5  # the listener sets the option again after each answer
        while not connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1
