"""Decode stored pixel data (PS3.5 8) of all supported transfer syntaxes to samples, before display transformations."""

import math
from dataclasses import dataclass

import numpy as np
from imagecodecs import dicomrle_decode, jpeg2k_decode
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import UID, RLELossless

from ml.errors import ImageError
from ml.pictures.depth import Samples
from ml.pictures.dicom import elements
from ml.pictures.formats import jpeg, jpeg2000
from ml.pictures.formats.contents import corrupt, deep_bytes, truncated
from ml.pictures.limits import check_memory, check_size

#: Adobe's JPEG segment without its last byte, which tells whether the colours are RGB (0) or YCbCr (1).
ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"
#: UIDs of the transfer syntaxes of JPEG, JPEG-LS, JPEG 2000 and High-Throughput JPEG 2000. A frame of these is damaged
#: if it does not begin with one of the signatures below.
JPEG_UIDS = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (*range(50, 67), 70, 80, 81, 90, 91, 201, 202, 203))
SOI, JPEG2000, JPEG2000_FILE = b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "


@dataclass(frozen=True)
class Frame:
    """The samples of one frame.

    Attributes:
        values: ``(rows, columns)``, or ``(rows, columns, 3)`` for colours.
        bits: number of bits in a sample.
        signed: whether samples may be negative.
        is_rgb: whether a decoder has already converted the colours to RGB.
    """

    values: NDArray[np.generic]
    bits: int
    signed: bool = False
    is_rgb: bool = False


@dataclass(frozen=True)
class Layout:
    """The attributes that describe how samples are stored (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    channels: int
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str
    planar: bool

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> "Layout":
        """Read the layout that a data set declares, with defaults for missing attributes.

        Raises:
            ImageError: ``image_too_large``, ``image_too_small``, or ``encoding_not_supported`` for samples of other
                sizes than 8 and 16 bits.
        """
        rows, columns = elements.integer(dataset, "Rows"), elements.integer(dataset, "Columns")
        check_size(columns, rows)
        allocated = elements.integer(dataset, "BitsAllocated", 16)
        stored = elements.integer(dataset, "BitsStored", allocated)
        channels = elements.integer(dataset, "SamplesPerPixel", 1)
        if allocated not in (8, 16) or channels not in (1, 3):
            raise unsupported(f"A DICOM image of {channels} samples of {allocated} bits")
        if not 1 < stored <= allocated:
            raise corrupt()
        check_memory(columns, rows, deep_bytes(columns, rows, channels, allocated // 8))
        high = elements.integer(dataset, "HighBit", stored - 1)
        return cls(
            rows, columns, channels, allocated, stored,
            high if stored - 1 <= high < allocated else stored - 1,
            elements.integer(dataset, "PixelRepresentation") == 1,
            elements.text(dataset, "PhotometricInterpretation").upper() or "MONOCHROME2",
            channels > 1 and elements.integer(dataset, "PlanarConfiguration") == 1,
        )  # fmt: skip


def read(dataset: Dataset) -> tuple[Frame, Layout]:
    """Decode the single frame of a data set.

    Raises:
        ImageError: ``image_truncated``, ``image_corrupt``, ``encoding_not_supported``, ``image_too_large`` or
            ``image_too_small``.
    """
    layout = Layout.from_dataset(dataset)
    data = elements.value(dataset, "PixelData")
    if not isinstance(data, bytes):
        raise unsupported("A DICOM image of floating point numbers") if "PixelData" not in dataset else corrupt()
    syntax = UID(elements.text(getattr(dataset, "file_meta", Dataset()), "TransferSyntaxUID"))
    if syntax and syntax.is_private:
        raise unsupported(f"A private transfer syntax ({syntax[:64]})")
    if syntax and syntax.is_transfer_syntax and syntax.is_encapsulated:
        frame = _decode(get_frame(data, 0, number_of_frames=1), syntax, layout)
    else:
        frame = _native(data, layout, "<" if dataset.original_encoding[1] else ">")
    if frame.values.shape[:2] != (layout.rows, layout.columns):
        raise corrupt()
    return frame, layout


def _native(data: bytes, layout: Layout, order: str) -> Frame:
    """Read uncompressed samples. Bytes after them are ignored: padding, or an excess due to a wrong length."""
    pixels = layout.rows * layout.columns
    subsampled = layout.photometric == "YBR_FULL_422" and not layout.planar
    samples = pixels * 2 if subsampled else pixels * layout.channels
    kind = np.dtype(np.uint8 if layout.allocated == 8 else f"{order}u2")
    if len(data) < samples * kind.itemsize:
        raise truncated()
    values = np.frombuffer(data, kind, samples)
    if subsampled:
        if layout.columns % 2:
            raise corrupt()
        values = _without_subsampling(values.reshape(layout.rows, layout.columns // 2, 4))
    elif layout.planar:
        values = np.moveaxis(values.reshape(layout.channels, layout.rows, layout.columns), 0, -1)
    else:
        values = values.reshape(layout.rows, layout.columns, *([layout.channels] if layout.channels > 1 else []))
    return Frame(_stored_bits(values, layout), layout.stored, layout.signed)


def _without_subsampling(pairs: NDArray[np.generic]) -> NDArray[np.generic]:
    """Expand pairs of pixels, ``Y Y Cb Cr``, that share their colour (YBR_FULL_422, PS3.3 C.7.6.3.1.2)."""
    rows, half = pairs.shape[:2]
    colours = np.repeat(pairs[..., 2:], 2, axis=1)
    return np.concatenate([pairs[..., :2].reshape(rows, half * 2, 1), colours], axis=2)


def _stored_bits(values: NDArray[np.generic], layout: Layout) -> NDArray[np.generic]:
    """Extract the stored bits from the allocated ones. The other bits may contain an overlay (PS3.5 8.1.1)."""
    if layout.allocated == layout.stored:
        return values.view(values.dtype.str.replace("u", "i")) if layout.signed else values
    values = values.astype(np.uint16) >> np.uint16(layout.high + 1 - layout.stored)
    return _with_sign(values, layout.stored) if layout.signed else values & np.uint16(2**layout.stored - 1)


def _with_sign(values: NDArray[np.generic], bits: int) -> NDArray[np.generic]:
    """Interpret values of ``bits`` bits as two's complement."""
    shift = np.uint16(16 - bits)
    return (values.astype(np.uint16) << shift).view(np.int16) >> np.int16(shift)


def _decode(data: bytes, syntax: UID, layout: Layout) -> Frame:
    """Decode a compressed frame by its signature, since a transfer syntax may be wrong."""
    if data.startswith((JPEG2000, JPEG2000_FILE)):
        return _jpeg2000(data, layout)
    if data.startswith(SOI):
        return _jpeg(data, layout)
    if syntax == RLELossless:
        return _rle(data, layout)
    if syntax in JPEG_UIDS:
        raise corrupt()
    raise unsupported(f"The compression “{syntax.name[:80]}”")


def _jpeg(data: bytes, layout: Layout) -> Frame:
    if layout.channels > 1 and not (b"Adobe" in data[:4096] or b"JFIF" in data[:64]):
        # Without a marker, the attributes give the colour space.
        data = data[:2] + ADOBE + bytes([layout.photometric != "RGB"]) + data[2:]
    pixels = jpeg.read(data).pixels
    if isinstance(pixels, Image.Image):
        values = np.asarray(pixels if pixels.mode in ("L", "RGB") else pixels.convert("RGB"))
        return Frame(*_signed(values, 8, layout), is_rgb=values.ndim == 3)
    bits = int(pixels.white + 1).bit_length() - 1
    return Frame(*_signed(pixels.values, bits, layout), is_rgb=True)


def _signed(values: NDArray[np.generic], bits: int, layout: Layout) -> tuple[NDArray[np.generic], int, bool]:
    """Restore the sign of samples from a codec that has only unsigned samples: their bits are two's complement."""
    return (_with_sign(values, layout.stored), layout.stored, True) if layout.signed else (values, bits, False)


def _jpeg2000(data: bytes, layout: Layout) -> Frame:
    depths = jpeg2000.depths(data)
    bits = depths[0] % jpeg2000.SIGNED + 1 if depths else layout.stored
    has_sign = bool(depths and depths[0] & jpeg2000.SIGNED)
    if jpeg2000.size(data) != (layout.columns, layout.rows):
        raise corrupt()  # check before the decoder allocates memory for the declared size
    # The decoder uses 32 bits a sample.
    check_memory(layout.columns, layout.rows, deep_bytes(layout.columns, layout.rows, layout.channels, 4, 2))
    if bits > 16:
        raise unsupported(f"A JPEG 2000 of {bits} bits")
    values = np.asarray(jpeg2k_decode(data))
    is_rgb = layout.photometric not in ("YBR_FULL", "YBR_FULL_422")
    if layout.signed and not has_sign:
        return Frame(_with_sign(values, layout.stored), layout.stored, True, is_rgb)
    if has_sign and not layout.signed:
        return Frame(values.astype(np.int16).view(np.uint16) & np.uint16(2**bits - 1), bits, False, is_rgb)
    return Frame(values, bits, has_sign, is_rgb)


def _rle(data: bytes, layout: Layout) -> Frame:
    """Decode RLE (PS3.5 Annex G), which has a plane for each byte of each sample."""
    size = layout.allocated // 8
    shape, kind = (layout.channels, layout.rows, layout.columns), np.dtype(f"<u{size}")
    values = np.frombuffer(bytes(dicomrle_decode(data, kind, out=math.prod(shape) * size)), kind)
    if values.size < math.prod(shape):
        raise truncated()
    values = np.moveaxis(values[: math.prod(shape)].reshape(shape), 0, -1)
    return Frame(_stored_bits(values[..., 0] if layout.channels == 1 else values, layout), layout.stored, layout.signed)


def to_rgb(frame: Frame, photometric: str) -> Image.Image | Samples:
    """Convert a colour frame to RGB."""
    values = frame.values
    if frame.bits > 8:
        # For more than 8 bits, the luminance is enough: an X-ray's colours are all grey.
        is_luminance = photometric.startswith("YBR") and not frame.is_rgb
        return Samples(values[..., 0] if is_luminance else values, 2.0**frame.bits - 1)
    eight = np.ascontiguousarray(np.left_shift(values.astype(np.uint8), 8 - frame.bits))
    if photometric.startswith("YBR") and not frame.is_rgb:
        return Image.fromarray(eight, "YCbCr").convert("RGB")
    return Image.fromarray(eight)


def unsupported(subject: str) -> ImageError:
    """Error for intact pixels of a kind that cannot be decoded here."""
    return ImageError("encoding_not_supported", f"{subject} is not supported. Please export the X-ray uncompressed.")
