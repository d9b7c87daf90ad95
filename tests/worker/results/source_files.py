"""Small synthetic DICOM files of chest X-rays."""

import io
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

ROOT = "2.25.3141592653589793238462643383279"
PATIENT = "Нгуен^Анна=阮^安娜"


def cr(number: int = 1, side: int = 64, **attributes: Any) -> bytes:
    """A computed radiograph; attributes that are None are left out."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = f"{ROOT}.1.1.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    values = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": f"{ROOT}.1.1.{number}",
        "StudyInstanceUID": f"{ROOT}.1",
        "SeriesInstanceUID": f"{ROOT}.1.1",
        "PatientName": PATIENT,
        "PatientID": "SYN-0042",
        "PatientBirthDate": "20230401",
        "PatientSex": "F",
        "StudyDate": "20261120",
        "StudyTime": "101500",
        "StudyID": "S1",
        "AccessionNumber": "A-77",
        "ReferringPhysicianName": None,
        "Modality": "CR",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PatientOrientation": ["L", "F"],
        "SeriesNumber": 1,
        "InstanceNumber": number,
        "Manufacturer": "Synthetic",
        "Rows": side,
        "Columns": side,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        **attributes,
    }
    for name, value in values.items():
        if value is not None:
            setattr(dataset, name, value)
    dataset.PixelData = np.random.default_rng(number).integers(0, 4096, (side, side), np.uint16).tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
