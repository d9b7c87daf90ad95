"""Options that the listener sets on its connections, and how much it reads from them."""

import socket
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from pynetdicom.dimse_primitives import C_STORE

from tests import modality
from tests.worker.dicom.test_associations import no_associations, wait_until
from webapp.studies.models import Image
from worker.dicom import storing
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


REQUESTS = 6


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Images are answered only after this event."""
    go, answer = threading.Event(), storing.answer

    def held(*args: Any) -> Any:
        go.wait(20)
        return answer(*args)

    monkeypatch.setattr(storing, "answer", held)
    yield go
    go.set()


def send_without_waiting(association: Any) -> None:
    """Send several images, and wait for no response."""
    [context] = [each for each in association.accepted_contexts if each.abstract_syntax != "1.2.840.10008.1.1"]
    for number in range(REQUESTS):
        dataset, request = modality.image(number), C_STORE()
        request.MessageID, request.Priority = number + 1, 2
        request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
        request.DataSet = BytesIO(modality.encoded(dataset))
        association.dimse.send_msg(request, context.context_id)


def waiting_requests() -> int:
    [association] = [thread for thread in threading.enumerate() if isinstance(thread, Ending)]
    return association.dimse.msg_queue.qsize()


def test_no_more_is_read_while_a_request_waits(port: int, hold: threading.Event) -> None:
    with modality.connected(port) as association:
        association._reactor_checkpoint.clear()  # its thread would take the responses
        send_without_waiting(association)
        assert wait_until(lambda: waiting_requests() > 0)
        time.sleep(0.5)
        assert waiting_requests() == 1
        hold.set()
        answers: list[Any] = [association.dimse.get_msg(block=True)[1] for _ in range(REQUESTS)]
        association._reactor_checkpoint.set()
    assert [(answer.MessageIDBeingRespondedTo, answer.Status) for answer in answers] == [
        (number + 1, 0) for number in range(REQUESTS)
    ]
    assert Image.objects.count() == REQUESTS


def test_a_peer_that_aborts_while_its_requests_wait_leaves_nothing(port: int, hold: threading.Event) -> None:
    with modality.connected(port) as association:
        send_without_waiting(association)
        assert wait_until(lambda: waiting_requests() > 0)
        association.abort()
    hold.set()
    assert wait_until(no_associations)
