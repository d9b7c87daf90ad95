"""DICOM files: stored pixels to the grey levels that a viewer shows, and the patient's attributes.

Pixels go through the modality and VOI transformations (PS3.3 C.11.1 and C.11.2, the first window), and MONOCHROME1 is
inverted, so that air is dark and bone bright.
"""

import io
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ml.errors import ImageError
from ml.pictures.depth import Samples, to_grey
from ml.pictures.limits import check_size
from ml.pictures.warnings import outside_training

if TYPE_CHECKING:
    from pydicom import Dataset, FileDataset
    from pydicom.uid import UID

#: Computed, digital and conventional radiography.
MODALITIES = ("CR", "DX", "RG")

#: Days in what an age string (VR AS) counts in.
_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}


@dataclass(frozen=True)
class Instance:
    """A radiograph from a DICOM file.

    Attributes:
        image: mode ``L``; of any size.
        age: the patient's, in years, when the X-ray was taken; None if the file lacks it.
        view: View Position, such as ``PA``; empty if the file lacks it.
    """

    image: Image.Image
    age: float | None
    view: str

    def warnings(self) -> list[dict[str, str]]:
        """Warnings that follow from the file's attributes."""
        return outside_training(self.age, self.view)


def is_dicom(source: bytes) -> bool:
    """Whether a file begins as DICOM's file format does (PS3.10 7.1)."""
    return source[128:132] == b"DICM"


def read(source: bytes) -> Instance:
    """Read a DICOM file.

    Raises:
        ImageError: with the code ``dicom_corrupt``, ``dicom_without_pixels``, ``dicom_not_a_radiograph``,
            ``dicom_multiframe``, ``dicom_compression_unknown``, ``image_too_large`` or ``image_too_small``.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(io.BytesIO(source))
        _check(dataset)
        image = to_grey(Samples(_shown(dataset), white=1.0))
        return Instance(image, age_of(dataset), str(dataset.get("ViewPosition", "")))
    # The parser and the decoders raise any of these for damaged data.
    except (
        InvalidDicomError,
        OSError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise ImageError("dicom_corrupt", "The DICOM file is damaged or cut off. Please export it again.") from error


def _check(dataset: "FileDataset") -> None:
    """Refuse by the attributes alone, before anything is decoded."""
    if "PixelData" not in dataset or not dataset.get("Rows") or not dataset.get("Columns"):
        raise ImageError("dicom_without_pixels", "This DICOM file holds no image.")
    modality = str(dataset.get("Modality", ""))
    if modality and modality not in MODALITIES:
        raise ImageError(
            "dicom_not_a_radiograph", f"This DICOM file's modality is {modality}; X-rays (CR, DX) are read."
        )
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise ImageError("dicom_multiframe", "This DICOM file holds several frames; single X-rays are read.")
    check_size(dataset.Columns, dataset.Rows)
    syntax = dataset.file_meta.TransferSyntaxUID
    if not _can_decode(syntax):
        raise ImageError(
            "dicom_compression_unknown",
            f"The pixels are compressed in a way that is not read here: {syntax.name}. Please export it uncompressed.",
        )


def _can_decode(syntax: "UID") -> bool:
    from pydicom.pixels.decoders.base import get_decoder

    try:
        return get_decoder(syntax).is_available  # that is, one of its plugins is installed
    except NotImplementedError:  # pydicom has no decoder for such pixels at all: a video, or a private syntax
        return False


def _shown(dataset: "Dataset") -> np.ndarray:
    """``(rows, columns)`` float32: grey levels as they are to be shown, air dark."""
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    values = dataset.pixel_array
    if values.ndim == 3:  # a colour picture of an X-ray
        return values[..., :3].astype(np.float32).mean(axis=-1)
    values = np.asarray(apply_voi_lut(apply_modality_lut(values, dataset), dataset), dtype=np.float32)
    return -values if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else values


def age_of(dataset: "Dataset") -> float | None:
    """The patient's age in years, from Patient's Age or the dates of birth and study; None without either."""
    # Some exports leave the unit out; years are meant then.
    if age := re.fullmatch(r"(\d{1,3})([DWMY]?)", str(dataset.get("PatientAge", "") or "")):
        return int(age[1]) * _DAYS[age[2] or "Y"] / _DAYS["Y"]
    born, taken = (str(dataset.get(name, "") or "") for name in ("PatientBirthDate", "StudyDate"))
    try:
        days = (date.fromisoformat(taken) - date.fromisoformat(born)).days
    except ValueError:
        return None
    return days / _DAYS["Y"] if days >= 0 else None
