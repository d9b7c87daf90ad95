"""Who takes one of the DICOM_ASSOCIATIONS places, and for how long."""

import socket
from collections.abc import Callable

from tests import modality
from tests.worker.dicom.test_associations import no_associations, wait_until

pytestmark = modality.committed_rows

#: The type of an A-ASSOCIATE-RJ, and the beginning of a P-DATA-TF of 100 bytes.
REJECTION, HALF = b"\x03", b"\x04\x00\x00\x00\x00\x64half"


def test_a_stranger_that_keeps_sending_takes_no_place(listen: Callable[..., int]) -> None:
    port = listen(DICOM_ASSOCIATIONS=1)
    request = modality.greeting(port).replace(b"SCANNER ", b"STRANGER")
    assert wait_until(no_associations)  # the one of the greeting also takes a place
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
        stranger.sendall(request)
        assert stranger.recv(10)[:1] == REJECTION
        stranger.sendall(HALF)  # the listener now waits for the rest
        with modality.connected(port) as association:
            assert association.is_established
