"""Decompress zlib data without holding all of the output in memory."""

import zlib
from collections.abc import Iterator

PIECE = 2**20


def pieces(packed: bytes, stream: "zlib._Decompress") -> Iterator[bytes]:
    """Yield the decompressed data in pieces of at most a megabyte.

    The generator stops at the end of the stream: zlib would return the data behind it for ever.

    Args:
        packed: the compressed data.
        stream: from ``zlib.decompressobj``; its ``eof`` tells afterwards whether the end was reached.

    Raises:
        zlib.error: the data are damaged.
    """
    while packed and not stream.eof:
        yield stream.decompress(packed, PIECE)
        packed = stream.unconsumed_tail
