"""The compressed pixels of a PNG: their size, and their checksum."""

import zlib

from ml.pictures.formats.inflating import pieces

#: First column and row of each pass of an interlaced picture, and the steps to the next.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def size(width: int, height: int, bits: int, interlaced: bool) -> int:
    """The bytes of all rows of pixels of so many bits, unpacked: in each pass its own, of every so many pixels."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    sides = ((-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in passes)
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sides if columns > 0 and rows > 0)


def unpacked_size(parts: list[bytes]) -> tuple[int, bool]:
    """The bytes that the compressed pixels unpack to, and whether they are sound: their stream has its own checksum."""
    stream, unpacked = zlib.decompressobj(), 0
    try:
        for part in parts:
            for piece in pieces(part, stream):
                unpacked += len(piece)
    except zlib.error:
        return unpacked, False
    return unpacked, stream.eof


def with_checksum(parts: list[bytes], needed: int) -> list[bytes] | None:
    """The compressed pixels with the right checksum behind them, where nothing else was wrong; None where more was.

    Args:
        parts: of the stream.
        needed: the bytes that it has to unpack to, at least.
    """
    packed = b"".join(parts)
    stream, checksum, unpacked = zlib.decompressobj(-zlib.MAX_WBITS), 1, 0
    try:
        for rows in pieces(packed[2:], stream):
            checksum, unpacked = zlib.adler32(rows, checksum), unpacked + len(rows)
            if unpacked > needed:
                break
    except zlib.error:
        return None
    if not stream.eof or unpacked < needed:
        return None
    return [packed[: len(packed) - len(stream.unused_data)] + checksum.to_bytes(4)]
