"""Parse a DICOM file (PS3.10 7), also without its preamble or its file meta information."""

import io
import struct
import zlib

import pydicom
from pydicom import Dataset, config
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from ml.errors import ImageError
from ml.pictures.formats.contents import corrupt
from ml.pictures.limits import MAX_DECODED_BYTES

# Do not log values that the standard does not allow. This package checks the values that matter.
config.settings.reading_validation_mode = config.IGNORE

#: Number of bytes from which a file is recognised.
HEAD = 1024
#: Number of bytes that are inflated from a deflated data set for the elements before its pixels.
HEADER_BYTES = 2**22
#: Value representations (PS3.5 6.2), and those with a length of 32 bits (PS3.5 7.1.2).
SHORT = b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split()
LONG = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()
#: Groups that a data set can begin with: file meta information, and identification.
GROUPS = (0x0002, 0x0008)


def is_dicom(source: bytes) -> bool:
    """Whether a file begins like the DICOM file format, or like a data set without it.

    ``webapp.studies.files.signatures`` has a copy, since neither module may import the other. A test compares the two.
    """
    return source[128:132] == b"DICM" or any(
        _begins_with_elements(source[:HEAD], order, explicit) for order in "<>" for explicit in (True, False)
    )


def _begins_with_elements(head: bytes, order: str, explicit: bool) -> bool:
    """Whether the bytes begin with two elements of :data:`GROUPS` in ascending order."""
    at = previous = 0
    for _ in range(2):
        if at + 12 > len(head):
            return False
        group, element = struct.unpack_from(f"{order}HH", head, at)
        tag, representation = group * 2**16 + element, head[at + 4 : at + 6]
        if group not in GROUPS or tag <= previous:
            return False
        previous = tag
        if not explicit:
            at += 8 + int(struct.unpack_from(f"{order}I", head, at + 4)[0])
        elif representation in LONG:
            at += 12 + int(struct.unpack_from(f"{order}I", head, at + 8)[0])
        elif representation in SHORT:
            at += 8 + int(struct.unpack_from(f"{order}H", head, at + 6)[0])
        else:
            return False
    return True


def parse(source: bytes, *, pixels: bool = True) -> Dataset:
    """Parse a file.

    Args:
        source: the file, with or without preamble and file meta information.
        pixels: whether to read the pixels, or only the elements before them.

    Raises:
        ImageError: with the code ``image_corrupt``, or ``image_too_large`` for deflated data that inflate to too much.
    """
    try:
        # Search for the UID first: parsing the file meta information usually takes as long as all other elements.
        may_be_deflated = source[128:132] == b"DICM" and DeflatedExplicitVRLittleEndian.encode() in source
        if may_be_deflated and (dataset := _deflated(source, pixels)):
            return dataset
        return pydicom.dcmread(io.BytesIO(source), force=True, stop_before_pixels=not pixels)
    except (MemoryError, ImageError):
        raise
    except Exception as error:  # pydicom raises any exception for a damaged file
        raise corrupt() from error


def header(content: bytes, syntax: str) -> Dataset:
    """Parse the elements before the pixels, in a quarter of the time that :func:`parse` takes.

    Args:
        content: the data set, without preamble and file meta information.
        syntax: its transfer syntax.

    Raises:
        ImageError: with the code ``image_corrupt``.
    """
    try:
        uid = UID(syntax)
        if uid.is_deflated:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, HEADER_BYTES)
        dataset = read_dataset(io.BytesIO(content), uid.is_implicit_VR, uid.is_little_endian, stop_when=_is_pixels)
    except MemoryError:
        raise
    except Exception as error:  # pydicom raises any exception for a damaged data set
        raise corrupt() from error
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid
    return dataset


def _is_pixels(tag: BaseTag, *_: object) -> bool:
    return tag >= 0x7FE00008


def _deflated(source: bytes, pixels: bool) -> Dataset | None:
    """Parse the beginning of a deflated data set if no pixels are requested; pydicom would inflate all of it.

    Returns:
        None if the data set is not deflated, or if the pixels are requested and its size is within the limit.

    Raises:
        ImageError: ``image_too_large`` if the pixels are requested and the data set exceeds the limit.
    """
    stream = io.BytesIO(source)
    stream.seek(132)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag.group != 2)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return None
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(source[stream.tell() :], MAX_DECODED_BYTES if pixels else HEADER_BYTES)
    if pixels:
        if inflater.unconsumed_tail:
            raise ImageError("image_too_large", f"The file inflates to more than {MAX_DECODED_BYTES // 2**20} MB.")
        return None
    dataset = read_dataset(io.BytesIO(inflated), False, True, stop_when=_is_pixels)
    dataset.file_meta = FileMetaDataset(meta)
    return dataset
