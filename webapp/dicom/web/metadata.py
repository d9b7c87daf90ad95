"""The header of an instance in the DICOM JSON model (PS3.18 F), with URLs in place of long binary values."""

import json
from typing import Any

from django.core.files import File

from webapp.dicom.web import headers
from webapp.dicom.web.attributes import ATTRIBUTES, Row, to_json
from webapp.refusals import Refused

#: Bytes of a binary value above which it is replaced by its URL.
BULK = 1024
#: Tags from here on hold pixels of all kinds.
PIXELS = 0x7FE00000
UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}


def of(row: Row, file: File | Refused, bulk: str) -> str:
    """The metadata of an instance, from the database if its file cannot be parsed, is damaged or does not exist.

    Args:
        bulk: the URL of binary values, without the tag.
    """
    try:
        if isinstance(file, Refused):
            raise headers.Unreadable
        with file:
            header = headers.read(file)
    except headers.Unreadable:
        return json.dumps(to_json(row, (one for one in ATTRIBUTES if one.path.startswith("instance"))))
    elements = [f'"{tag:08X}":{text}' for tag in header.dataset.keys() if (text := _element(header, tag, bulk))]  # noqa: SIM118  (a data set iterates over its elements, damaged ones too)
    if header.pixels_at is not None:
        elements.append(f'"7FE00010":{json.dumps({"vr": "OW", "BulkDataURI": f"{bulk}7FE00010"})}')
    return f"{{{','.join(elements)}}}"


def _element(header: headers.Header, tag: Any, bulk: str) -> str:
    """An element as JSON; empty if it is damaged, is a group length or holds pixels."""
    if tag.element == 0 or tag >= PIXELS:
        return ""
    if tag == 0x00080005:
        return json.dumps(UTF_8)
    try:
        element = header.dataset[tag]
        if isinstance(element.value, bytes) and len(element.value) > BULK:
            return json.dumps({"vr": element.VR, "BulkDataURI": f"{bulk}{tag:08X}"})
        return json.dumps(element.to_json_dict(None, headers.HEADER_BYTES), allow_nan=False)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (pydicom raises any exception for a damaged element)
        return ""
