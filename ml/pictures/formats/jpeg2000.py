"""JPEG 2000 (ITU-T T.800), as a file or as a bare codestream, at its full depth."""

import struct

import numpy as np
from imagecodecs import jpeg2k_decode

from ml.pictures.depth import Samples
from ml.pictures.formats.contents import END_MISSING, Contents, deep_bytes, header, truncated, unsupported
from ml.pictures.formats.pillow import metadata_of
from ml.pictures.limits import check_memory, check_size

#: Start of a codestream and of its first segment, which contains the sizes.
SIZ = b"\xff\x4f\xff\x51"
#: Start of a tile-part, and end of the codestream.
SOT, EOC = b"\xff\x90", b"\xff\xd9"
SIGNED = 128
#: Colour box with a profile. Two more bytes precede the profile.
PROFILE = b"colr\2"


def read(content: bytes) -> Contents:
    """Decode a JPEG 2000 image.

    Raises:
        ImageError: ``image_truncated``, ``encoding_not_supported``, ``image_too_large`` or ``image_too_small``.
    """
    whole = with_end(content)
    image = header(whole, ["JPEG2000"])
    channel_depths = depths(content)
    channels = len(channel_depths)
    # The decoder uses 32 bits a sample.
    check_memory(*image.size, deep_bytes(*image.size, max(1, channels), sample=4, copies=2))
    notes = [] if whole == content else [END_MISSING]
    metadata = metadata_of(image)
    if profile := _profile(content):
        metadata.read_profile(profile)
    if bits(content) <= 8 and not any(depth & SIGNED for depth in channel_depths):
        image.load()
        return Contents(image, metadata, notes)
    if channels > 4 or len(set(channel_depths)) > 1:
        raise unsupported("A JPEG 2000 with channels of these kinds")
    depth = bits(content) - bool(channel_depths[0] & SIGNED)
    return Contents(Samples(np.asarray(jpeg2k_decode(whole)), 2.0**depth - 1), metadata, notes)


def _profile(content: bytes) -> bytes:
    """Colour profile in the file's header; empty without one."""
    at = content.find(PROFILE, 0, max(0, content.find(SIZ)))
    return content[at + len(PROFILE) + 2 : at - 4 + int.from_bytes(content[at - 4 : at])] if at >= 4 else b""


def bits(content: bytes) -> int:
    """Bits per sample; 0 without a codestream."""
    return max((depth % SIGNED + 1 for depth in depths(content)), default=0)


def size(content: bytes) -> tuple[int, int]:
    """Width and height that the codestream declares; zeros without a codestream."""
    start = content.find(SIZ)
    if start < 0 or len(content) < start + 42:
        return 0, 0
    right, bottom, left, top = struct.unpack_from(">4I", content, start + 8)
    return right - left, bottom - top


def depths(content: bytes) -> bytes:
    """For each channel, its number of bits minus one, plus :data:`SIGNED` if the samples are signed."""
    start = content.find(SIZ)
    if start < 0 or len(content) < start + 42:
        return b""
    (channels,) = struct.unpack(">H", content[start + 40 : start + 42])
    return content[start + 42 : start + 42 + 3 * channels : 3]


def with_end(content: bytes) -> bytes:
    """Return the file, with the end marker added if only that is missing. Each tile-part declares its length.

    Raises:
        ImageError: ``image_truncated`` if pixels are missing; ``image_too_large`` or ``image_too_small``.
    """
    start = content.find(SIZ)
    if start < 0:
        return content
    width, height, x, y, tile_width, tile_height, left, top = struct.unpack_from(">8I", content, start + 8)
    check_size(width - x, height - y)
    tiles = -(-(width - left) // max(1, tile_width)) * -(-(height - top) // max(1, tile_height))
    at = start + 2
    parts: dict[int, int] = {}  # number of tile-parts found, by tile
    announced: dict[int, int] = {}
    while content[at : at + 2] not in (EOC, EOC[:1], b""):
        if at + 12 > len(content):
            raise truncated()
        marker, length = struct.unpack_from(">2sH", content, at)
        if marker[:1] != EOC[:1]:  # not a segment: let the decoder report the error
            return content
        if marker == SOT:
            tile, length, _, count = struct.unpack_from(">HIBB", content, at + 4)
            parts[tile] = parts.get(tile, 0) + 1
            announced[tile] = max(announced.get(tile, 0), count)
            # A tile-part without a length ends with the codestream. Its data contain no bytes that look like the end.
            at = at + length if length else content.find(EOC, at)
            if at < 0:
                raise truncated()
        else:
            at += 2 + length
    if at > len(content) or len(parts) < tiles or any(announced[tile] > parts[tile] for tile in parts):
        raise truncated()
    return content if content[at : at + 2] == EOC else content[:at] + EOC
