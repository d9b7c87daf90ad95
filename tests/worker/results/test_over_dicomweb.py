"""QIDO-RS and WADO-RS of result objects: reports, pictures and key objects, the same as delivered."""

import io
import os
import time
from typing import Any

import pytest
import requests
from dicomweb_client import DICOMwebClient
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from PIL import Image as Picture
from pydicom import dcmread

from tests import dicomweb
from tests.webapp.clients import Client, token_headers
from tests.worker.results.outbox import announce, deliver
from webapp.audit.models import Entry
from webapp.departments.models import Department, Membership
from webapp.dicom import results
from webapp.dicom.models import ResultObject, Revision
from webapp.dicom.web import result_files
from webapp.retention import services as retention
from webapp.reviews.services import review
from webapp.studies import dispatch
from worker.deliver.dicom import making

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make requested objects at once, as a worker does."""
    monkeypatch.setattr(dispatch, "send_make", making.keep)


@pytest.fixture
def overruled(dicom_image: Any, reader: Any) -> Any:
    """An image whose result a reader has overruled."""
    image = dicom_image()
    announce(image)
    deliver()
    review(image, reader, "NORMAL")
    deliver()
    return image


@pytest.fixture
def client(reader: Any) -> Client:
    return Client(headers=token_headers(reader.user))


def written(revision: Revision) -> list[bytes]:
    files = []
    for data in making.make(revision):
        stream = io.BytesIO()
        data.save_as(stream, enforce_file_format=True)
        files.append(stream.getvalue())
    return files


@pytest.mark.long
def test_dicomweb_client_finds_and_retrieves_result_objects(overruled, reader, worker, transactional_db):
    session = requests.Session()
    session.headers["Authorization"] = token_headers(reader.user)["Authorization"].replace("Token", "Bearer")
    delivered = [content for revision in overruled.revisions.order_by("number") for content in written(revision)]
    datasets = {data.SOPInstanceUID: data for data in (dcmread(io.BytesIO(content)) for content in delivered)}
    uid = overruled.instance.study_uid
    with dicomweb.served() as url:
        client = DICOMwebClient(f"{url}/dicomweb", session)
        [study] = client.search_for_studies(search_filters={"ModalitiesInStudy": "KO"})
        assert study["00080061"]["Value"] == ["KO", "OT", "SR"]  # the image's own modality is not known here
        assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([5], [5])
        series = client.search_for_series(uid)
        assert {row["0020000E"]["Value"][0] for row in series} == {
            overruled.instance.series_uid, *(data.SeriesInstanceUID for data in datasets.values()),
        }  # fmt: skip
        [rejection] = client.search_for_instances(uid, search_filters={"SOPClassUID": results.REJECTION.class_uid})
        uids = [uid, rejection["0020000E"]["Value"][0], rejection["00080018"]["Value"][0]]
        assert client.retrieve_instance(*uids) == datasets[uids[2]]
        whole = {data.SOPInstanceUID: data for data in client.retrieve_study(uid)}
        assert whole.pop(overruled.instance_uid)
        assert whole == datasets
        [picture] = [data for data in datasets.values() if data.Modality == "OT"]
        uids = [uid, picture.SeriesInstanceUID, picture.SOPInstanceUID]
        assert client.retrieve_instance_metadata(*uids)["00080060"]["Value"] == ["OT"]
        [frame] = client.retrieve_instance_frames(*uids, [1])
        assert frame == picture.PixelData[: len(frame)]
        shown = Picture.open(io.BytesIO(client.retrieve_instance_rendered(*uids, media_types=("image/jpeg",))))
        assert shown.size == (picture.Columns, picture.Rows)
        query = {"quality": 50, "viewport": "64,64"}
        small = client.retrieve_instance_rendered(*uids, media_types=("image/jpeg",), params=query)
        assert max(Picture.open(io.BytesIO(small)).size) == 64


def test_pages_go_on_from_images_to_result_objects(overruled, client):
    every = client.get("/dicomweb/instances").json()
    assert [row["00080060"].get("Value") for row in every[1:]].count(["SR"]) == 2
    for level, number in (("instances", 5), ("series", 5)):
        pages = [client.get(f"/dicomweb/{level}?limit=2&offset={offset}") for offset in range(0, 8, 2)]
        rows = [row for page in pages for row in page.json()]
        uids = {(row["0020000E"]["Value"][0], row.get("00080018", {}).get("Value", [""])[0]) for row in rows}
        assert len(rows) == len(uids) == number
        assert ["Warning" in page for page in pages] == [True, True, False, False]
    study = f"/dicomweb/studies/{overruled.instance.study_uid}"
    for query, number in (
        ("Modality=SR", 2), ("SeriesNumber=9002", 1), ("InstanceNumber=2", 2), ("ModalitiesInStudy=SR", 3),
        ("ViewPosition=PA", 0), ("BodyPartExamined=CHEST", 0),
    ):  # fmt: skip
        assert len(client.get(f"{study}/instances?{query}").json()) == number, query


def test_nobody_gets_result_objects_of_another_department(overruled, worker, problem_of):
    other = User.objects.create_user("bob")
    Membership.objects.create(department=Department.objects.create(name="B", slug="b"), user=other, role="manager")
    stranger = Client(headers=token_headers(other))
    for one in ResultObject.objects.all():
        assert stranger.get("/dicomweb/instances").json() == []
        series = f"/dicomweb/studies/{one.study_uid}/series/{one.series_uid}"
        instance = f"{series}/instances/{one.instance_uid}"
        for path in (series, instance, f"{instance}/metadata", f"{instance}/rendered", f"{instance}/frames/1"):
            assert problem_of(stranger.get(path)) == (404, "not_found")
    assert not list(default_storage.walk(results.FOLDER))


def test_objects_that_cannot_be_made_now_are_left_out_or_refused(overruled, client, problem_of, monkeypatch):
    monkeypatch.setattr(dispatch, "send_make", lambda revision: None)
    monkeypatch.setattr(result_files, "MAX_WAIT", 0.0)
    one = ResultObject.objects.filter(modality="SR").first()
    study = f"/dicomweb/studies/{one.study_uid}"
    path = f"{study}/series/{one.series_uid}/instances/{one.instance_uid}"
    assert problem_of(client.get(path)) == (409, "not_made_yet")
    found = client.get(f"{path}/metadata")
    assert one.instance_uid.encode() in b"".join(found.streaming_content)
    whole = b"".join(client.get(study, headers={"Accept": 'multipart/related; type="application/dicom"'}))
    assert whole.count(b"DICM") == 1


def test_a_report_cannot_be_rendered(overruled, client, worker, problem_of):
    one = ResultObject.objects.filter(modality="SR").first()
    path = f"/dicomweb/studies/{one.study_uid}/series/{one.series_uid}/instances/{one.instance_uid}"
    for end in ("rendered", "frames/1"):
        assert problem_of(client.get(f"{path}/{end}")) == (406, "representation_not_available")
    assert Entry.objects.filter(action="view", kind="studies.image").exists()


def test_files_are_made_once_and_deleted_after_an_hour(overruled):
    revision = overruled.revisions.get(number=1)
    assert making.keep(revision.pk) == 2
    assert making.keep(revision.pk) == 0
    one, _ = files = [file.name for file in default_storage.walk(results.FOLDER)]
    assert len(files) == 2
    long_ago = time.time() - 2 * results.FILES_KEPT.total_seconds()
    os.utime(default_storage.path(one), (long_ago, long_ago))
    assert retention.purge().removed["result files"] == 1
    assert making.keep(revision.pk) == 1


@pytest.fixture
def problem_of() -> Any:
    return lambda answer: (answer.status_code, answer.json()["code"])
