"""Read a file that may hold anything, and write one that holds nothing but what was cleaned."""

from typing import Any

import pydicom
from pydicom import Dataset, config
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from deidentify.errors import NotCleanedError

# A value that the standard does not allow is cleaned like any other, and a warning would show it.
config.settings.reading_validation_mode = config.IGNORE

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def read(stream: Any) -> Dataset:
    """Parse an image's file. A deflated one may need a thousand times its size in memory.

    Args:
        stream: a binary file that can seek.

    Raises:
        NotCleanedError: ``dicom_damaged`` or ``dicom_without_pixels``.
    """
    try:
        dataset = pydicom.dcmread(stream, force=True)
    except MemoryError:
        raise
    except Exception as error:  # pydicom raises whatever it meets: it is the file's fault
        raise NotCleanedError("dicom_damaged", "The file cannot be read as DICOM.") from error
    if not any(keyword in dataset for keyword in PIXELS):
        raise NotCleanedError("dicom_without_pixels", "The file holds no image. Reports and documents are left out.")
    return dataset


def write(dataset: Dataset, stream: Any) -> None:
    """Write a cleaned data set with file meta information of its own, and a preamble of zeros.

    Raises:
        NotCleanedError: ``dicom_damaged``.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    named = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID")
    meta.TransferSyntaxUID = UID(named) if named else _syntax(dataset)
    dataset.file_meta, dataset.preamble = meta, None
    try:
        dataset.save_as(stream, enforce_file_format=True)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # a value that was never asked for may be damaged, too
        raise NotCleanedError("dicom_damaged", "The file cannot be written: one of its values is damaged.") from error


def _syntax(dataset: Dataset) -> UID:
    """The transfer syntax of a data set that came without file meta information."""
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
