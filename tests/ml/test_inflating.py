"""Unpacking ends where its stream ends, whatever lies behind that."""

import zlib

import pytest

from ml.pictures.formats import pdf, png_stream
from ml.pictures.formats.contents import truncated
from ml.pictures.formats.inflating import PIECE, pieces

SIZE = 3 * PIECE + 5
PACKED = zlib.compress(bytes(SIZE))


@pytest.mark.parametrize("behind", [b"", b"\n", b"more"])
def test_all_of_it_is_unpacked_and_nothing_behind_it(behind: bytes) -> None:
    stream = zlib.decompressobj()
    unpacked = [len(piece) for piece in pieces(PACKED + behind, stream)]
    assert (sum(unpacked), max(unpacked), stream.eof) == (SIZE, PIECE, True)


def test_a_png_with_bytes_behind_its_pixels_has_an_end() -> None:
    assert png_stream.unpacked_size([PACKED + b"more"]) == (SIZE, True)
    assert png_stream.with_checksum([PACKED], 2 * SIZE) is None
    assert png_stream.with_checksum([PACKED[:-4] + b"more"], SIZE) == [PACKED]


def test_a_pdf_with_too_few_pixels_and_bytes_behind_them_has_an_end() -> None:
    pdf._check_data(["FlateDecode"], PACKED + b"\n", SIZE)
    with pytest.raises(type(truncated())) as caught:
        pdf._check_data(["FlateDecode"], PACKED + b"\n", 2 * SIZE)
    assert caught.value.code == "image_truncated"
