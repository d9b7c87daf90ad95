"""HEIF with HEVC (HEIC), the format of many phones."""

import re

import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import Image

from ml.pictures.depth import Samples
from ml.pictures.formats.contents import Contents, check_single_picture, corrupt, deep_bytes
from ml.pictures.limits import check_memory, check_size
from ml.pictures.metadata import Metadata

#: An entry of the file's list of items: the length of its box, and its fields, which start with the version.
ITEM = re.compile(rb"(?P<length>.{4})infe(?P<fields>[\2\3])", re.DOTALL)
CHANNELS = {"L": 1, "I": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}


def read(content: bytes) -> Contents:
    """Decode an HEIC file with one picture, at its full depth.

    Raises:
        ImageError: ``several_pictures``, ``image_corrupt``, ``image_too_large`` or ``image_too_small``.
    """
    _check_items(content)
    pi_heif.options.DECODE_THREADS = 1
    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
    # Keep the decoder's own layout. Otherwise pi_heif converts greys in place at the depth in the header, and writes
    # beyond the buffer if the actual depth is lower.
    file = pi_heif.open_heif(content, convert_hdr_to_8bit=False, hdr_to_16bit=False, remove_stride=False)
    width, height = file.size
    check_size(width, height)
    check_single_picture(len(file))
    mode, _, bits = file.mode.partition(";")
    # Three copies: the stored picture, the decoded picture, and a copy of the decoded one.
    channels, sample = CHANNELS[mode], 2 if bits else 1
    check_memory(width, height, deep_bytes(width, height, channels, sample, copies=3))
    metadata = Metadata()
    # The decoder applies the orientation in the file's own properties. The one in EXIF only repeats it.
    if profile := file.info.get("icc_profile"):
        metadata.read_profile(profile)
    values = _values(file, width * channels, sample)
    values = values if channels == 1 else values.reshape(height, width, channels)
    return Contents(Samples(values, 2.0 ** int(bits) - 1) if bits else Image.fromarray(values), metadata)


def _check_items(content: bytes) -> None:
    """Refuse a file with an item whose type or name is not text: it would make pi_heif end the process.

    Raises:
        ImageError: ``image_corrupt``.
    """
    for item in ITEM.finditer(content):
        fields = content[item.start("fields") : item.start() + int.from_bytes(item["length"])]
        at = 8 if fields[:1] == b"\2" else 10
        if not fields[at : at + 4].isascii() or not _is_text(fields[at + 4 :]):
            raise corrupt()


def _is_text(names: bytes) -> bool:
    try:
        names.decode()
    except UnicodeDecodeError:
        return False
    return True


def _values(file: pi_heif.HeifFile, length: int, sample: int) -> NDArray[np.generic]:
    """Copy the samples, since their memory belongs to the decoder.

    Args:
        file: a decoded file.
        length: samples in a row.
        sample: bytes of a sample, by the header.

    Raises:
        ImageError: ``image_corrupt`` if the samples have another depth than the header declares.
    """
    rows = np.frombuffer(file.data, np.uint8).reshape(-1, file.stride)
    if not length * sample <= file.stride < 2 * length * sample:
        raise corrupt()
    return np.array(rows[:, : length * sample]).view(np.uint16 if sample == 2 else np.uint8)
