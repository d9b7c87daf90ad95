"""Ways to damage bytes."""

import random
import struct

#: Numbers that are often handled wrongly in length fields, counters and offsets.
LIMITS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)


def mutated(content: bytes, draw: random.Random, tokens: tuple[bytes, ...] = ()) -> bytes:
    """The content with a few changes of its bytes.

    Args:
        content: the bytes to damage.
        draw: makes all random choices.
        tokens: bytes that have a meaning in this format.
    """
    result = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        if result:
            at = draw.randrange(len(result))
            start, end, new = draw.choice(WAYS)(result, at, draw, tokens)
            result[start:end] = new
    return bytes(result)


def _flipped_bit(content: bytearray, at: int, draw: random.Random, _: tuple[bytes, ...]) -> tuple[int, int, bytes]:
    return at, at + 1, bytes([content[at] ^ 1 << draw.randrange(8)])


def _other_byte(_: bytearray, at: int, draw: random.Random, __: tuple[bytes, ...]) -> tuple[int, int, bytes]:
    return at, at + 1, draw.randbytes(1)


def _deleted(_: bytearray, at: int, draw: random.Random, __: tuple[bytes, ...]) -> tuple[int, int, bytes]:
    return at, at + draw.choice((1, 2, 16, 200)), b""


def _cut_off(content: bytearray, at: int, _: random.Random, __: tuple[bytes, ...]) -> tuple[int, int, bytes]:
    return at, len(content), b""


def _inserted(_: bytearray, at: int, draw: random.Random, __: tuple[bytes, ...]) -> tuple[int, int, bytes]:
    return at, at, draw.randbytes(draw.choice((1, 4, 40)))


def _doubled(content: bytearray, at: int, draw: random.Random, _: tuple[bytes, ...]) -> tuple[int, int, bytes]:
    return at, at, bytes(content[at : at + draw.choice((4, 30, 300))])


def _number(_: bytearray, at: int, draw: random.Random, __: tuple[bytes, ...]) -> tuple[int, int, bytes]:
    raw = struct.pack("<I", draw.choice(LIMITS))[: draw.choice((1, 2, 4))]
    return at, at + len(raw), raw


def _token(_: bytearray, at: int, draw: random.Random, tokens: tuple[bytes, ...]) -> tuple[int, int, bytes]:
    token = draw.choice(tokens or (b"",))
    return at, at + draw.choice((0, len(token))), token


WAYS = (_flipped_bit, _other_byte, _deleted, _cut_off, _inserted, _doubled, _number, _token)
