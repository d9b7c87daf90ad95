"""HEIF with HEVC (HEIC), as phones take it."""

import re

import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import Image

from ml.pictures.depth import Samples
from ml.pictures.formats.contents import Contents, corrupt, deep_bytes, one_picture
from ml.pictures.limits import check_memory, check_size
from ml.pictures.metadata import Metadata

#: An item of the file's list: its box's length and, from the version on, its fields.
ITEM = re.compile(rb"(?P<length>.{4})infe(?P<fields>[\2\3])", re.DOTALL)
CHANNELS = {"L": 1, "I": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}


def read(content: bytes) -> Contents:
    """Decode an HEIC of one picture, at its depth.

    Raises:
        ImageError: ``several_pictures``, ``image_corrupt``, ``image_too_large`` or ``image_too_small``.
    """
    _check_items(content)
    pi_heif.options.DECODE_THREADS = 1
    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False
    # As the decoder keeps it. pi_heif would change greys in place, in the depth that the header declares, and write
    # beyond them where they have less.
    file = pi_heif.open_heif(content, convert_hdr_to_8bit=False, hdr_to_16bit=False, remove_stride=False)
    width, height = file.size
    check_size(width, height)
    one_picture(len(file))
    mode, _, bits = file.mode.partition(";")
    # The picture as it is stored, as the decoder gives it, and a copy of that.
    channels, sample = CHANNELS[mode], 2 if bits else 1
    check_memory(width, height, deep_bytes(width, height, channels, sample, copies=3))
    about = Metadata()
    # Its own properties turn the picture, and the decoder does that; the orientation in EXIF only repeats them.
    if profile := file.info.get("icc_profile"):
        about.read_profile(profile)
    values = _values(file, width * channels, sample)
    values = values if channels == 1 else values.reshape(height, width, channels)
    return Contents(Samples(values, 2.0 ** int(bits) - 1) if bits else Image.fromarray(values), about)


def _check_items(content: bytes) -> None:
    """Refuse a file with an item whose type or name is no text: pi_heif ends the process then.

    Raises:
        ImageError: ``image_corrupt``.
    """
    for found in ITEM.finditer(content):
        fields = content[found.start("fields") : found.start() + int.from_bytes(found["length"])]
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
    """A copy of the samples, as their memory belongs to the decoder.

    Args:
        file: a decoded one.
        length: samples of a row.
        sample: bytes that each of them has by the header.

    Raises:
        ImageError: ``image_corrupt`` where the samples are of another depth than the header declares.
    """
    rows = np.frombuffer(file.data, np.uint8).reshape(-1, file.stride)
    if not length * sample <= file.stride < 2 * length * sample:
        raise corrupt()
    return np.array(rows[:, : length * sample]).view(np.uint16 if sample == 2 else np.uint8)
