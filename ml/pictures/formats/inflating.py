"""Unpack what zlib has packed, without holding all of it."""

import zlib
from collections.abc import Iterator

PIECE = 2**20


def pieces(packed: bytes, stream: "zlib._Decompress") -> Iterator[bytes]:
    """What a stream unpacks to, in pieces of a megabyte at most.

    It stops at the end of the stream: zlib hands what lies behind that back for ever.

    Args:
        stream: of ``zlib.decompressobj``; it says afterwards whether its end was reached.

    Raises:
        zlib.error: it is damaged.
    """
    while packed and not stream.eof:
        yield stream.decompress(packed, PIECE)
        packed = stream.unconsumed_tail
