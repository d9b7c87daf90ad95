"""Presentation contexts are decoded from a sender's bytes, and equal bytes are decoded only once."""

from typing import Any

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu_items import PDU_ITEM_TYPES, PresentationContextItemRQ

from worker.dicom import contexts

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]


def item(number: int, syntaxes: list[Any]) -> bytes:
    context = build_context(contexts.RADIOGRAPHS[0], syntaxes)
    context.context_id = number
    encoded = PresentationContextItemRQ()
    encoded.from_primitive(context)
    return bytes(encoded.encode())


def read(content: bytes) -> Any:
    decoded: Any = PDU_ITEM_TYPES[0x20]()
    decoded.decode(content)
    return decoded.to_primitive()


def test_a_context_is_decoded_as_its_bytes_say() -> None:
    for number, syntaxes in ((1, SYNTAXES), (3, SYNTAXES[:1]), (1, SYNTAXES[1:])):
        for _ in range(2):
            found = read(item(number, syntaxes))
            assert (found.context_id, found.abstract_syntax) == (number, contexts.RADIOGRAPHS[0])
            assert found.transfer_syntax == syntaxes


def test_equal_bytes_are_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    content, decode, decoded = item(201, SYNTAXES), PresentationContextItemRQ.decode, []
    monkeypatch.setattr(PresentationContextItemRQ, "decode", lambda *args: (decoded.append(1), decode(*args)))
    assert read(content) is read(content)
    assert len(decoded) == 1


def test_long_items_are_not_cached() -> None:
    content = item(203, [f"1.2.840.{number}.{10**40}" for number in range(30)])
    assert len(content) > contexts.LONGEST_ITEM
    before = contexts._read.cache_info().currsize
    assert len(read(content).transfer_syntax) == 30
    assert contexts._read.cache_info().currsize == before


def test_damaged_items_are_refused() -> None:
    for _ in range(2):
        with pytest.raises((AssertionError, KeyError)):
            read(item(205, SYNTAXES)[:-3])
