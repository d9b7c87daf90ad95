"""HEIF with HEVC (HEIC), as phones take it."""

import numpy as np
import pi_heif
from PIL import Image

from ml.pictures.depth import Samples
from ml.pictures.formats.contents import Contents, deep_bytes, one_picture
from ml.pictures.limits import check_memory, check_size
from ml.pictures.metadata import Metadata

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def read(content: bytes) -> Contents:
    """Decode an HEIC of one picture, at its depth.

    Raises:
        ImageError: ``several_pictures``, ``image_too_large`` or ``image_too_small``.
    """
    pi_heif.options.DECODE_THREADS = 1
    file = pi_heif.open_heif(content, convert_hdr_to_8bit=False)
    width, height = file.size
    check_size(width, height)
    one_picture(len(file))
    mode, _, bits = file.mode.partition(";")
    # The decoder keeps the picture as it is stored and as it gives it, of which a copy is made.
    channels, sample = CHANNELS.get(mode, 4), 2 if bits else 1
    check_memory(width, height, deep_bytes(width, height, channels, sample, copies=3))
    about = Metadata()
    # Its own properties turn the picture, and the decoder does that; the orientation in EXIF only repeats them.
    if profile := file.info.get("icc_profile"):
        about.read_profile(profile)
    values = np.array(file)  # a copy: the memory belongs to the decoder
    return Contents(Samples(values, 2.0 ** int(bits) - 1) if bits else Image.fromarray(values), about)
