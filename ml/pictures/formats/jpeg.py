"""JPEG (ITU-T T.81), including 12 bits and lossless, and JPEG-LS.

The decoder gets only the segments that decoding needs.
"""

import io

import numpy as np
from imagecodecs import Jpeg8Error, JpeglsError, jpeg8_decode, jpegls_decode
from PIL import Image

from ml.pictures import limits
from ml.pictures.depth import Samples
from ml.pictures.formats.contents import (
    END_MISSING,
    Contents,
    decoded_bytes,
    deep_bytes,
    truncated,
    unsupported,
)
from ml.pictures.formats.jpeg_file import ARITHMETIC, EOI, HUFFMAN, JPEG_LS, LOSSLESS, PROGRESSIVE, File, parse
from ml.pictures.metadata import Metadata

#: Data that decode to other pixels than those that a decoder fills in for missing data.
FILLER = bytes(range(1, 255)) * 2


def read(content: bytes) -> Contents:
    """Decode a JPEG.

    Raises:
        ImageError: ``image_truncated``, ``image_corrupt``, ``encoding_not_supported``, or a limit's code.
    """
    start = content.find(b"\xff\xd8\xff")
    file = parse(content, start)
    if not file.frame or not file.scans:
        raise truncated()
    limits.check_size(file.width, file.height)
    metadata = _metadata(file)
    pixels = _decoded(file, bytes(file.needed) + EOI)
    if _is_cut_off(file, pixels):
        raise truncated()
    notes = [] if file.ended else [END_MISSING]
    plain = isinstance(pixels, Image.Image) and pixels.mode in ("L", "RGB") and file.frame in (0xC0, 0xC1, 0xC2)
    odd = start or file.height_came_late or notes or metadata.from_xmp or metadata.tone is not None or metadata.ignored
    return Contents(pixels, metadata, notes, browsers_show=plain and not odd)


def is_cut_off(content: bytes) -> bool:
    """Whether a JPEG of any size, such as one in a PDF, lacks pixels."""
    file = parse(content, 0)
    return not file.scans or _is_cut_off(file, _decoded(file, bytes(file.needed) + EOI))


def _metadata(file: File) -> Metadata:
    metadata = Metadata()
    metadata.read_orientation(file.exif, file.xmp)
    if file.profile:
        metadata.read_profile(b"".join(part[2:] for part in sorted(file.profile)))  # each part begins with its number
    return metadata


def _decoded(file: File, content: bytes) -> Image.Image | Samples:
    channels = len(file.sampling)
    if channels not in (1, 3, 4):
        raise unsupported(f"A JPEG of {channels} components")
    if file.precision == 8 and file.frame in (*HUFFMAN, *PROGRESSIVE, *ARITHMETIC):
        return _eight_bits(file, content)
    if file.frame not in (*HUFFMAN, 0xC2, LOSSLESS, JPEG_LS) or channels not in (1, 3):
        raise unsupported("This kind of JPEG")
    # 16 bits a sample; twice if the decoder has to collect all coefficients first.
    copies = 2 if file.frame == 0xC2 or file.scans > 1 else 1
    limits.check_memory(file.width, file.height, deep_bytes(file.width, file.height, channels, copies=copies))
    decode = jpegls_decode if file.frame == JPEG_LS else jpeg8_decode
    try:
        values = np.asarray(decode(content))
    except (Jpeg8Error, JpeglsError) as error:
        if "nsupported" in str(error) or "not implemented" in str(error).lower():
            raise unsupported(f"A JPEG of this kind with {file.precision} bits") from error
        if not file.ended:
            raise truncated() from error
        raise
    return Image.fromarray(values) if file.precision == 8 else Samples(values, 2.0**file.precision - 1)


def _eight_bits(file: File, content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=["JPEG"])
    coefficients = _coefficient_bytes(file)
    # If a colour JPEG would need too much memory, decode only its luminance.
    if image.mode == "RGB" and decoded_bytes(image) + coefficients > limits.MAX_DECODED_BYTES:
        image.draft("L", image.size)
    limits.check_memory(*image.size, decoded_bytes(image) + coefficients)
    image.load()
    return image


def _coefficient_bytes(file: File) -> int:
    """Memory for the coefficients, of 16 bits each, that the decoder collects from an image in several scans."""
    if file.frame not in PROGRESSIVE and file.first_scan == len(file.sampling):
        return 0
    return 2 * file.width * file.height * sum(file.sampling) // max(*file.sampling, 1)


def _is_cut_off(file: File, pixels: Image.Image | Samples) -> bool:
    looks_whole = file.ended and not _lacks_scans(file) and not _looks_filled(pixels)
    return not looks_whole and not _is_whole(file, pixels)


def _is_whole(file: File, pixels: Image.Image | Samples) -> bool:
    """Whether all pixels are in the file. If so, appended data change no pixel."""
    if _lacks_scans(file):
        return False
    if file.frame == JPEG_LS:
        return True  # its decoder refuses missing and surplus pixels
    extended = _decoded(file, bytes(file.needed) + FILLER + EOI)
    return _bytes(extended) == _bytes(pixels)


def _lacks_scans(file: File) -> bool:
    """Whether a progressive file lacks its last scans, without which the picture is complete but coarser."""
    return file.frame in PROGRESSIVE and len(file.refined) < 64 * len(file.sampling)


def _looks_filled(pixels: Image.Image | Samples) -> bool:
    """Whether the last pixels have the grey that decoders fill in for missing data."""
    if isinstance(pixels, Samples):
        corner, grey = pixels.values[-1, -8:], (pixels.white + 1) / 2
    else:
        corner = np.asarray(pixels.crop((pixels.width - 8, pixels.height - 1, pixels.width, pixels.height)))
        grey = 128.0
    return bool(np.abs(corner.astype(float) - grey).max() <= grey / 100)


def _bytes(pixels: Image.Image | Samples) -> bytes:
    return pixels.tobytes() if isinstance(pixels, Image.Image) else pixels.values.tobytes()
