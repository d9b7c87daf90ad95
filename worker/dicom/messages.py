"""The DIMSE messages of an association: a limit on their size, and a faster C-STORE response."""

import io
import struct
from typing import Any

from django.conf import settings
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

#: The command field of a C-STORE response, and the value for "no data set present" (PS3.7 E.1).
C_STORE_RSP, NO_DATA_SET = 0x8001, 0x0101
#: Message control header of a fragment that is the last one of a command set (PS3.8 E.2).
WHOLE_COMMAND = b"\x03"
#: Upper bound on the size of a response, whose texts have at most 64 characters.
RESPONSE_BYTES = 512
#: Command sets have a few hundred bytes. A longer one ends the association.
LONGEST_COMMAND = 2**16


class Dropped(io.BytesIO):
    """Discards the rest of a data set that is too large."""

    def write(self, content: Any, /) -> int:
        return len(content)


def limit(message: Any) -> None:
    """Stop collecting a message's data set when it is larger than an image may be."""
    if message is not None and message.data_set.tell() > settings.MAX_IMAGE_BYTES:
        message.data_set = Dropped()


class Messages(DIMSEServiceProvider):
    """The DIMSE provider, with limits on messages and a faster encoder for C-STORE responses.

    pynetdicom encodes the responses with pydicom, which takes longer than reading an image's header.
    """

    def receive_primitive(self, primitive: P_DATA) -> None:
        limit(self.message)
        if self.message is not None and self.message.encoded_command_set.tell() > LONGEST_COMMAND:
            self.dul.event_queue.put("Evt19")  # invalid PDU: abort the association (PS3.8 9.2.3)
            return
        super().receive_primitive(primitive)

    def send_msg(self, primitive: Any, context_id: int) -> None:
        is_response = isinstance(primitive, C_STORE) and primitive.MessageIDBeingRespondedTo is not None
        if not is_response or 0 < self.maximum_pdu_size < RESPONSE_BYTES:
            super().send_msg(primitive, context_id)
            return
        data = P_DATA()
        data.presentation_data_value_list.append((context_id, WHOLE_COMMAND + encoded(primitive)))
        self.dul.send_pdu(data)


def encoded(response: C_STORE) -> bytes:
    """The command set of a C-STORE response (PS3.7 9.3.1.2), in implicit VR little endian as all command sets are."""
    numbers = [
        (0x0100, C_STORE_RSP), (0x0120, response.MessageIDBeingRespondedTo), (0x0800, NO_DATA_SET),
        (0x0900, response.Status),
    ]  # fmt: skip
    texts = [(0x0002, response.AffectedSOPClassUID, b"\0"), (0x1000, response.AffectedSOPInstanceUID, b"\0"),
             (0x0902, response.ErrorComment, b" ")]  # fmt: skip
    values = {number: struct.pack("<H", value) for number, value in numbers}
    for number, text, padding in texts:
        if text:
            value = text.encode("ascii", "replace")
            values[number] = value + padding * (len(value) % 2)
    group = b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in sorted(values.items()))
    return struct.pack("<HHII", 0, 0, 4, len(group)) + group
