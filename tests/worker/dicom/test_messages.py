"""Answers to C-STORE are the same as those that pynetdicom would send."""

import struct
from typing import Any

import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from tests import modality
from tests.worker.dicom.test_associations import no_associations, wait_until
from worker.dicom import messages

CONTEXT = 3


def answer(status: int, comment: str | None, uid: str) -> C_STORE:
    response = C_STORE()
    response.MessageID = response.MessageIDBeingRespondedTo = 7
    response.AffectedSOPClassUID, response.AffectedSOPInstanceUID = DigitalXRayImageStorageForPresentation, uid
    response.Status, response.ErrorComment = status, comment
    return response


@pytest.mark.parametrize(
    ("status", "comment", "uid"), [(0, None, "1.2.34"), (0xA700, "odd", "1.2.345"), (0xC000, "even", "1.2.34")]
)
def test_the_command_set_is_that_of_pynetdicom(status: int, comment: str | None, uid: str) -> None:
    response = answer(status, comment, uid)
    message = C_STORE_RSP()
    message.primitive_to_message(response)
    [data] = message.encode_msg(CONTEXT, 2**14)
    assert data.presentation_data_value_list == [(CONTEXT, messages.WHOLE_COMMAND + messages.encoded(response))]


@modality.committed_rows
def test_a_peer_that_takes_only_short_pdus_gets_its_answer_in_several(port: int) -> None:
    received: list[Any] = []
    entity = AE("SCANNER")
    entity.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    handlers: Any = [(evt.EVT_PDU_RECV, lambda event: received.append(event.pdu))]
    association = entity.associate("127.0.0.1", port, ae_title="PNEUMOQUEUE", max_pdu=64, evt_handlers=handlers)
    assert association.send_c_store(modality.image()).Status == 0
    association.release()
    lengths = [pdu.pdu_length for pdu in received if isinstance(pdu, P_DATA_TF)]
    assert len(lengths) > 1
    assert max(lengths) <= 64


@modality.committed_rows
def test_a_command_set_without_end_ends_the_association(port: int) -> None:
    fragment = b"\x01" + b"\0" * 2**14  # part of a command set, not the last one
    item = struct.pack(">IB", 1 + len(fragment), 1) + fragment
    pdu = b"\x04\0" + struct.pack(">I", len(item)) + item
    with modality.connected(port) as association:
        connection = association.dul.socket.socket
        for _ in range(6):
            connection.sendall(pdu)
        assert wait_until(lambda: association.is_aborted)
    assert wait_until(no_associations)
