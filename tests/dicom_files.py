"""DICOM files of every transfer syntax, generated from a picture."""

import io

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

from tests import synthetic

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
LOSSLESS = (*NATIVE, RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless)
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)


def stored(grey: np.ndarray, bits: int, *, signed: bool = False) -> np.ndarray:
    """Convert grey values of 8 bits to samples of another bit depth."""
    values = grey.astype(np.int32) * (2**bits - 1) // 255
    return values - 2 ** (bits - 1) if signed else values


def made(
    values: np.ndarray | None = None,
    *,
    syntax: UID = ExplicitVRLittleEndian,
    bits: int = 12,
    signed: bool = False,
    photometric: str = "MONOCHROME2",
    pixels: bytes | None = None,
    **attributes: object,
) -> bytes:
    """A file of a digital radiograph.

    Args:
        values: samples, grey or with three channels; by default a synthetic X-ray of 12 bits.
        pixels: bytes of the pixel data, instead of the encoded values.
        attributes: further attributes of the data set; None removes one.
    """
    if values is None:
        values = np.asarray(synthetic.xray(3, (200, 160)), dtype=np.uint16) * 16
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel, dataset.PixelRepresentation = (3 if values.ndim == 3 else 1), int(signed)
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (8 if bits <= 8 else 16), bits, bits - 1
    dataset.PhotometricInterpretation = photometric
    dataset.PixelData = _encoded(values, syntax, bits) if pixels is None else pixels
    dataset["PixelData"].VR = "OB" if syntax.is_encapsulated or bits <= 8 else "OW"
    dataset["PixelData"].is_undefined_length = syntax.is_encapsulated
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _encoded(values: np.ndarray, syntax: UID, bits: int) -> bytes:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    # Two's complement in `bits` bits, which the standard stores in the allocated ones.
    words = (values.astype(np.int32) & (2**bits - 1)).astype("u1" if bits <= 8 else f"{order}u2")
    if syntax in NATIVE:
        data = words.tobytes()
        return data + b"\0" * (len(data) % 2)
    frame = _codec(np.ascontiguousarray(words), syntax, bits)
    return encapsulate([frame])


def _codec(words: np.ndarray, syntax: UID, bits: int) -> bytes:
    if syntax in (JPEGLossless, JPEGLosslessSV1):
        return imagecodecs.jpeg8_encode(words, lossless=True, bitspersample=bits)
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        return imagecodecs.jpeg8_encode(words, level=98, bitspersample=bits)
    if syntax in (JPEGLSLossless, JPEGLSNearLossless):
        return imagecodecs.jpegls_encode(words, level=0 if syntax == JPEGLSLossless else 1)
    if syntax in (JPEG2000Lossless, JPEG2000):
        lossless_j2k = syntax == JPEG2000Lossless
        level = {} if lossless_j2k else {"level": 60}
        return imagecodecs.jpeg2k_encode(words, codecformat="j2k", reversible=lossless_j2k, bitspersample=bits, **level)
    if syntax in (HTJ2KLossless, HTJ2K):
        return imagecodecs.htj2k_encode(words, reversible=syntax == HTJ2KLossless)
    assert syntax == RLELossless
    return _run_lengths(words)


def _run_lengths(words: np.ndarray) -> bytes:
    """One segment for each byte of a sample, the high byte first (PS3.5 Annex G), in literal runs."""
    planes = words[..., np.newaxis] if words.ndim == 2 else words
    segments = []
    for channel in range(planes.shape[-1]):
        parts = np.ascontiguousarray(planes[..., channel]).view(np.uint8).reshape(-1, words.dtype.itemsize)
        for byte in range(words.dtype.itemsize - 1, -1, -1):
            data = parts[:, byte].tobytes()
            runs = [data[at : at + 128] for at in range(0, len(data), 128)]
            segment = b"".join(bytes([len(run) - 1]) + run for run in runs)
            segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    header = np.zeros(16, "<u4")
    header[0], header[1 : 1 + len(offsets)] = len(segments), offsets
    return header.tobytes() + b"".join(segments)


def coloured(grey: np.ndarray, photometric: str) -> np.ndarray:
    """Convert a grey picture of 8 bits to colours."""
    rgb = Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    return np.asarray(rgb.convert("YCbCr") if photometric.startswith("YBR") else rgb)
