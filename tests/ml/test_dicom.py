"""DICOM files become greyscale images as a viewer shows them, with the age and the view."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    UID,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    generate_uid,
)

from ml.errors import ImageError
from ml.pictures import dicom
from tests import synthetic
from tests.conftest import DATA

REAL = DATA / "dicom"


def made(values: np.ndarray | None = None, *, syntax: UID = ExplicitVRLittleEndian, **attributes: object) -> bytes:
    """A digital radiograph of 12 bits."""
    if values is None:
        values = np.asarray(synthetic.xray(3, (200, 160)), dtype=np.uint16) * 16
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = values.astype("<u2").tobytes()
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def compressed(syntax: UID) -> bytes:
    """Declares compressed pixels, but holds something else."""
    return made(syntax=syntax, PixelData=encapsulate([b"no such pixels"]))


def read(content: bytes) -> dicom.Instance:
    return dicom.read(content)


def codes(content: bytes) -> list[str]:
    return [warning["code"] for warning in read(content).warnings()]


def test_grey_levels_are_kept_and_monochrome1_is_inverted() -> None:
    grey = np.asarray(synthetic.xray(3, (200, 160)), dtype=int)
    scaled = (grey - grey.min()) * 255 / (grey.max() - grey.min())
    shown = np.asarray(read(made()).image, dtype=int)
    assert shown.shape == (160, 200)
    assert np.abs(shown - scaled).max() <= 1
    inverted = np.asarray(read(made(PhotometricInterpretation="MONOCHROME1")).image, dtype=int)
    assert np.abs(inverted - (255 - scaled)).max() <= 1


def test_the_window_is_applied() -> None:
    values = np.linspace(0, 4095, 100 * 100).reshape(100, 100)
    shown = np.asarray(read(made(values, WindowCenter=1000, WindowWidth=200)).image)
    assert set(shown[:20].ravel()) == {0}
    assert set(shown[30:].ravel()) == {255}


@pytest.mark.parametrize(
    ("attributes", "age"),
    [
        ({"PatientAge": "004Y"}, 4),
        ({"PatientAge": "62"}, 62),
        ({"PatientAge": "030M"}, 2.5),
        ({"PatientAge": "010W"}, 0.19),
        ({"PatientBirthDate": "20200301", "StudyDate": "20240302"}, 4),
        ({"PatientBirthDate": "20250301", "StudyDate": "20240302"}, None),
        ({"PatientBirthDate": "unknown", "StudyDate": "20240302"}, None),
        ({}, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_the_age_is_found(attributes: dict[str, str], age: float | None) -> None:
    assert read(made(**attributes)).age == (age if age is None else pytest.approx(age, abs=0.01))


def test_age_and_view_outside_the_training_get_warnings() -> None:
    assert codes(made()) == codes(made(PatientAge="005Y", ViewPosition="PA")) == []
    assert codes(made(PatientAge="062Y")) == codes(made(PatientAge="011M")) == ["age_outside_training"]
    assert codes(made(PatientAge="006Y", ViewPosition="LL")) == ["age_outside_training", "view_not_frontal"]
    assert "62 years" in read(made(PatientAge="062Y")).warnings()[0]["detail"]
    assert "11 months" in read(made(PatientAge="011M")).warnings()[0]["detail"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (made()[:3000], "dicom_corrupt"),
        (made()[:140], "dicom_without_pixels"),
        (made(PixelData=None), "dicom_without_pixels"),
        (made(Modality="CT", SOPClassUID=CTImageStorage), "dicom_not_a_radiograph"),
        (made(Modality="XC"), "dicom_not_a_radiograph"),
        (made(NumberOfFrames=3), "dicom_multiframe"),
        (made(np.zeros((20, 20))), "image_too_small"),
        (compressed(JPEGLosslessSV1), "dicom_compression_unknown"),
        (compressed(MPEG2MPML), "dicom_compression_unknown"),
        (compressed(JPEG2000Lossless), "dicom_corrupt"),
        (made(Rows=40_000, Columns=40_000), "image_too_large"),
        (made(BitsAllocated=7), "dicom_corrupt"),
    ],
)
def test_what_cannot_be_read_says_why(content: bytes, code: str) -> None:
    assert dicom.is_dicom(content)
    with pytest.raises(ImageError) as caught:
        read(content)
    assert caught.value.code == code
    assert caught.value.detail.endswith(".")


def test_other_files_are_not_dicom() -> None:
    assert not dicom.is_dicom(synthetic.xray_jpeg(1))
    assert not dicom.is_dicom(b"")


@pytest.mark.parametrize("name", ["cr_chest_pa_monochrome1_j2k", "cr_chest_rsna_jpeg", "cr_extremity_not_chest_j2k"])
def test_real_files_of_other_hospitals_are_read(name: str) -> None:
    path = REAL / f"{name}.dcm"
    if not path.exists():
        pytest.skip(f"there is no {path}; XRAY_DATA names the folder above dicom/")
    instance = read(path.read_bytes())
    assert instance.image.size == tuple(
        pydicom.dcmread(path, stop_before_pixels=True)[tag].value for tag in ("Columns", "Rows")
    )
    assert np.asarray(instance.image).std() > 20
