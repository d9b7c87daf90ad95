"""A scanner that sends generated images by DICOM."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE

from tests import synthetic

STUDY = UID("2.25.315962087123")
#: Commit rows, so that a listener's threads see them. Only these apps' tables are emptied afterwards, which takes a
#: tenth of the time.
committed_rows = pytest.mark.django_db(
    transaction=True,
    available_apps=["webapp.audit", "webapp.departments", "webapp.dicom", "webapp.studies", "webapp.studies.outbox"],
)


def image(seed: int = 0, *, side: int = 64, syntax: UID = ExplicitVRLittleEndian, **attributes: Any) -> Dataset:
    """A digital radiograph of 12 bits."""
    values = np.asarray(synthetic.xray(seed, (side, side)), dtype=np.uint16) * 16
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    dataset.PatientID, dataset.PatientName = "4711", "Marked^Name"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition, dataset.PatientAge = "DX", "CHEST", "PA", "003Y"
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = values.astype("<u2").tobytes()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def encoded(dataset: Dataset) -> bytes:
    """The data set as it is sent over the network."""
    return bytes(encode(dataset, is_implicit_vr=False, is_little_endian=True) or b"")


def encapsulated(*frames: bytes) -> bytes:
    return bytes(encapsulate(list(frames)))


@contextmanager
def connected(
    port: int,
    *,
    ae_title: str = "SCANNER",
    called: str = "PNEUMOQUEUE",
    classes: Sequence[str] = (DigitalXRayImageStorageForPresentation, "1.2.840.10008.1.1"),
    syntaxes: Sequence[str] = (ExplicitVRLittleEndian,),
    tls: Any = None,
) -> Iterator[Association]:
    """Request an association with a listener on this machine; yield it, established or not."""
    entity = AE(ae_title)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    for uid in classes:
        entity.add_requested_context(uid, list(syntaxes))
    association = entity.associate("127.0.0.1", port, ae_title=called, tls_args=(tls, "localhost") if tls else None)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def rejection(association: Association) -> tuple[int, int, int] | None:
    """Result, source and reason of a rejected association; None if it was not rejected."""
    # pynetdicom leaves the answer in its queue if that arrived before anyone waited for it.
    answer: Any = association.acceptor.primitive or association.dul.receive_pdu()
    return (answer.result, answer.result_source, answer.diagnostic) if isinstance(answer, A_ASSOCIATE) else None


def greeting(port: int) -> bytes:
    """A request for an association, as a scanner sends it to a listener."""
    with connected(port) as association:
        request = A_ASSOCIATE_RQ()
        request.from_primitive(association.requestor.primitive)
    return bytes(request.encode())


def send(port: int, *images: Dataset, **options: Any) -> list[int]:
    """Send images by a new association, and return the status of each."""
    with connected(port, **options) as association:
        assert association.is_established
        return [association.send_c_store(dataset).Status for dataset in images]
