"""Decompression ends at the end of its stream, whatever follows."""

import zlib

import pytest

from ml.pictures.formats import pdf, png_stream
from ml.pictures.formats.contents import truncated
from ml.pictures.formats.inflating import PIECE, pieces

SIZE = 3 * PIECE + 5
PACKED = zlib.compress(bytes(SIZE))


@pytest.mark.parametrize("trailing", [b"", b"\n", b"more"])
def test_the_whole_stream_is_unpacked_and_nothing_after_it(trailing: bytes) -> None:
    stream = zlib.decompressobj()
    unpacked = [len(piece) for piece in pieces(PACKED + trailing, stream)]
    assert (sum(unpacked), max(unpacked), stream.eof) == (SIZE, PIECE, True)


def test_the_end_of_a_png_is_found_despite_bytes_after_its_pixels() -> None:
    assert png_stream.unpacked_size([PACKED + b"more"]) == (SIZE, True)
    assert png_stream.with_checksum([PACKED], 2 * SIZE) is None
    assert png_stream.with_checksum([PACKED[:-4] + b"more"], SIZE) == [PACKED]


def test_the_end_of_a_pdf_stream_is_found_despite_bytes_after_its_pixels() -> None:
    pdf._check_data(["FlateDecode"], PACKED + b"\n", SIZE)
    with pytest.raises(type(truncated())) as caught:
        pdf._check_data(["FlateDecode"], PACKED + b"\n", 2 * SIZE)
    assert caught.value.code == "image_truncated"
