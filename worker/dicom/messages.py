"""The messages of an association."""

import io
import struct
from typing import Any

from django.conf import settings
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

#: The command field of an answer to C-STORE, and that no data set comes with it (PS3.7 E.1).
C_STORE_RSP, NO_DATA_SET = 0x8001, 0x0101
#: A fragment of a message is a command set, and its last (PS3.8 E.2).
WHOLE_COMMAND = b"\x03"
#: More than an answer takes, whose texts have no more than 64 characters.
ANSWER_BYTES = 512


class Dropped(io.BytesIO):
    """Takes the rest of a data set that is too large, and keeps none of it."""

    def write(self, content: Any, /) -> int:
        return len(content)


def limit(message: Any) -> None:
    """Keep no more of a message's data set in memory than an image may have."""
    if message is not None and message.data_set.tell() > settings.MAX_IMAGE_BYTES:
        message.data_set = Dropped()


class Messages(DIMSEServiceProvider):
    """pynetdicom's, which takes longer to encode the answer to C-STORE, by pydicom, than to read an image's header."""

    def receive_primitive(self, primitive: P_DATA) -> None:
        limit(self.message)
        super().receive_primitive(primitive)

    def send_msg(self, primitive: Any, context_id: int) -> None:
        is_answer = isinstance(primitive, C_STORE) and primitive.MessageIDBeingRespondedTo is not None
        if not is_answer or 0 < self.maximum_pdu_size < ANSWER_BYTES:
            super().send_msg(primitive, context_id)
            return
        data = P_DATA()
        data.presentation_data_value_list.append((context_id, WHOLE_COMMAND + encoded(primitive)))
        self.dul.send_pdu(data)


def encoded(answer: C_STORE) -> bytes:
    """The command set of an answer to C-STORE (PS3.7 9.3.1.2), as all are in implicit VR and little-endian."""
    numbers = [
        (0x0100, C_STORE_RSP), (0x0120, answer.MessageIDBeingRespondedTo), (0x0800, NO_DATA_SET),
        (0x0900, answer.Status),
    ]  # fmt: skip
    texts = [(0x0002, answer.AffectedSOPClassUID, b"\0"), (0x1000, answer.AffectedSOPInstanceUID, b"\0"),
             (0x0902, answer.ErrorComment, b" ")]  # fmt: skip
    values = {number: struct.pack("<H", value) for number, value in numbers}
    for number, text, filler in texts:
        if text:
            value = text.encode("ascii", "replace")
            values[number] = value + filler * (len(value) % 2)
    group = b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in sorted(values.items()))
    return struct.pack("<HHII", 0, 0, 4, len(group)) + group
