"""The compressed pixel stream of a PNG: its size and its checksum."""

import zlib

from ml.pictures.formats.inflating import pieces

#: For each pass of an interlaced picture: first column, first row, and the steps to the next column and row.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def size(width: int, height: int, bits: int, interlaced: bool) -> int:
    """Number of bytes of all rows of an uncompressed picture, over all passes; ``bits`` are those of a pixel."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    sides = ((-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in passes)
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sides if columns > 0 and rows > 0)


def unpacked_size(parts: list[bytes]) -> tuple[int, bool]:
    """Return the decompressed size, in bytes, and whether the stream is intact, by its own checksum."""
    stream, unpacked = zlib.decompressobj(), 0
    try:
        for part in parts:
            for piece in pieces(part, stream):
                unpacked += len(piece)
    except zlib.error:
        return unpacked, False
    return unpacked, stream.eof


def with_checksum(parts: list[bytes], needed: int) -> list[bytes] | None:
    """Return the compressed pixels with the right checksum if only the checksum was wrong; otherwise None.

    Args:
        parts: parts of the stream.
        needed: least decompressed size, in bytes.
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
