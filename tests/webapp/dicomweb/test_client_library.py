"""dicomweb-client stores, searches and retrieves."""

import io

import numpy as np
import pytest
import requests
from dicomweb_client import DICOMwebClient
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from tests import dicom_files, dicomweb, modality, synthetic
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.long
def test_dicomweb_client_stores_searches_and_retrieves(served: str, token: str) -> None:
    session = requests.Session()
    session.headers["Authorization"] = token
    client = DICOMwebClient(f"{served}/dicomweb", session)
    values = np.asarray(synthetic.xray(1, (64, 48)))
    attributes = {"StudyInstanceUID": modality.STUDY, "SeriesInstanceUID": f"{modality.STUDY}.1", "PatientID": "P-1"}
    files = [
        dicom_files.made(values, syntax=syntax, bits=8, PatientName="Marked^Name", **attributes)
        for syntax in (ExplicitVRLittleEndian, JPEGBaseline8Bit)
    ]
    datasets = [dcmread(io.BytesIO(one)) for one in files]
    answer = client.store_instances(datasets)
    assert len(answer.ReferencedSOPSequence) == 2
    dicomweb.describe(list(Image.objects.all()))

    (study,) = client.search_for_studies(search_filters={"PatientName": "marked*"}, fields=["StudyDescription"])
    assert study["00201208"]["Value"] == [2]
    (series,) = client.search_for_series(modality.STUDY, search_filters={"Modality": "DX"})
    assert series["00201209"]["Value"] == [2]
    found = client.search_for_instances(limit=1, offset=1)
    assert found[0]["00080018"]["Value"][0] in {one.SOPInstanceUID for one in datasets}
    assert client.search_for_studies(search_filters={"PatientID": "other"}) == []

    whole = client.retrieve_study(modality.STUDY)
    assert {one.PixelData for one in whole} == {one.PixelData for one in datasets}
    uids = [(one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID) for one in datasets]
    assert client.retrieve_instance(*uids[1]).file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    metadata = client.retrieve_series_metadata(*uids[0][:2])
    assert {one["00100010"]["Value"][0]["Alphabetic"] for one in metadata} == {"Marked^Name"}
    (native,) = client.retrieve_instance_frames(*uids[0], [1])
    assert native == values.tobytes()
    (jpeg,) = client.retrieve_instance_frames(*uids[1], [1], media_types=[("image/jpeg", JPEGBaseline8Bit)])
    assert jpeg.startswith(b"\xff\xd8")
    # The client's Host header lacks the port, so the addresses in the answer lack it too.
    address = client.retrieve_instance_metadata(*uids[0])["7FE00010"]["BulkDataURI"]
    (bulk,) = client.retrieve_bulkdata(served + address.removeprefix("http://127.0.0.1"))
    assert bulk == values.tobytes()
    name = default_storage.save("previews/a.jpg", ContentFile(synthetic.xray_jpeg()))
    Image.objects.update(preview=name)
    assert client.retrieve_instance_rendered(*uids[0], media_types=("image/jpeg",)).startswith(b"\xff\xd8")
