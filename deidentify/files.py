"""Read a file that may hold anything, and write one that holds nothing but what was cleaned."""

from typing import Any

import pydicom
from pydicom import Dataset, config
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

# A value that the standard does not allow is cleaned like any other, and a warning would show it.
config.settings.reading_validation_mode = config.IGNORE

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


class NotCleanedError(Exception):
    """A file from which not everything could be removed, so that nothing of it is written.

    Attributes:
        code: for programs.
        detail: a sentence that says why. It holds nothing of the file.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def read(stream: Any, *, pixels: bool = True, deflated: bool = False) -> Dataset:
    """Parse an image's file.

    Args:
        stream: a binary file that can seek.
        pixels: whether the pixels are wanted as well as what comes before them.
        deflated: whether a deflated file may be read. It may need a thousand times its size in memory, so it is for
            processes with a limit.

    Raises:
        NotCleanedError: ``dicom_damaged``, ``dicom_deflated`` or ``dicom_without_pixels``.
    """
    try:
        if not deflated and _meta(stream).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            raise NotCleanedError("dicom_deflated", "The file is deflated. The command line reads such files.")
        stream.seek(0)
        dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=not pixels)
    except (MemoryError, NotCleanedError):
        raise
    except Exception as error:  # pydicom raises whatever it meets: it is the file's fault
        raise NotCleanedError("dicom_damaged", "The file cannot be read as DICOM.") from error
    if pixels and not any(keyword in dataset for keyword in PIXELS):
        raise NotCleanedError("dicom_without_pixels", "The file holds no image. Reports and documents are left out.")
    return dataset


def _meta(stream: Any) -> Dataset:
    """What a file says of itself before its data set, which is never compressed."""
    stream.seek(0)
    if read_preamble(stream, force=True) is None:
        return Dataset()
    return read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != 2)


def write(dataset: Dataset, stream: Any) -> None:
    """Write a cleaned data set with file meta information of its own, and a preamble of zeros.

    Raises:
        NotCleanedError: ``dicom_damaged``.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID") or _syntax(dataset)
    dataset.file_meta, dataset.preamble = meta, None
    try:
        dataset.save_as(stream, enforce_file_format=True)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # a value that was never asked for may be damaged, too
        raise NotCleanedError("dicom_damaged", "The file cannot be written: one of its values is damaged.") from error


def _syntax(dataset: Dataset) -> str:
    """The transfer syntax of a data set that came without file meta information."""
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
