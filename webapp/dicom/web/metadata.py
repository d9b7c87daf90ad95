"""The header of an instance in DICOM's JSON (PS3.18 F), whose long binary values are addresses."""

import json
from typing import Any

from django.core.files import File

from webapp.dicom.web import headers
from webapp.dicom.web.attributes import ATTRIBUTES, Row, described

#: Bytes of a binary value from which on its address stands in its place.
BULK = 1024
#: The tags of pixels of all kinds.
PIXELS = 0x7FE00000
UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}


def of(row: Row, file: File | None, bulk: str) -> str:
    """The metadata of an instance; what the database has of it where its file cannot be parsed, or is not there.

    Args:
        bulk: the address of binary values, before their tags.
    """
    try:
        if file is None:
            raise headers.Unreadable
        with file:
            header = headers.read(file)
    except headers.Unreadable:
        return json.dumps(described(row, (one for one in ATTRIBUTES if one.path.startswith("instance"))))
    elements = [f'"{tag:08X}":{text}' for tag in header.dataset.keys() if (text := _element(header, tag, bulk))]  # noqa: SIM118  (a data set iterates over its elements, damaged ones too)
    if header.pixels_at is not None:
        elements.append(f'"7FE00010":{json.dumps({"vr": "OW", "BulkDataURI": f"{bulk}7FE00010"})}')
    return f"{{{','.join(elements)}}}"


def _element(header: headers.Header, tag: Any, bulk: str) -> str:
    """An element as JSON; empty where it is damaged, or only says how long others are."""
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
