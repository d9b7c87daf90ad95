"""Answers to C-STORE are what pynetdicom would have sent."""

from typing import Any

import pytest
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF

from tests import modality
from worker.dicom import messages

CONTEXT = 3


def answer(status: int, comment: str | None, uid: str) -> C_STORE:
    said = C_STORE()
    said.MessageID = said.MessageIDBeingRespondedTo = 7
    said.AffectedSOPClassUID, said.AffectedSOPInstanceUID = DigitalXRayImageStorageForPresentation, uid
    said.Status, said.ErrorComment = status, comment
    return said


@pytest.mark.parametrize(
    ("status", "comment", "uid"), [(0, None, "1.2.34"), (0xA700, "odd", "1.2.345"), (0xC000, "even", "1.2.34")]
)
def test_the_command_set_is_that_of_the_library(status: int, comment: str | None, uid: str) -> None:
    said = answer(status, comment, uid)
    message = C_STORE_RSP()
    message.primitive_to_message(said)
    [data] = message.encode_msg(CONTEXT, 2**14)
    assert data.presentation_data_value_list == [(CONTEXT, messages.WHOLE_COMMAND + messages.encoded(said))]


@modality.committed_rows
def test_a_peer_that_takes_very_short_pdus_gets_its_answer_in_several(port: int) -> None:
    received: list[Any] = []
    entity = AE("SCANNER")
    entity.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    noted: Any = [(evt.EVT_PDU_RECV, lambda event: received.append(event.pdu))]
    association = entity.associate("127.0.0.1", port, ae_title="PNEUMOQUEUE", max_pdu=64, evt_handlers=noted)
    assert association.send_c_store(modality.image()).Status == 0
    association.release()
    lengths = [one.pdu_length for one in received if isinstance(one, P_DATA_TF)]
    assert len(lengths) > 1
    assert max(lengths) <= 64
