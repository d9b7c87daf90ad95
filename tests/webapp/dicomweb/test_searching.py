"""QIDO-RS finds what the user may see, by the stored attributes."""

from datetime import date
from time import monotonic
from typing import Any

import pytest
from django.contrib.auth.models import User
from pydicom.uid import generate_uid

from tests import dicomweb, modality
from tests.webapp.clients import Client, token_headers
from webapp.audit.models import Entry
from webapp.dicom.models import Instance
from webapp.dicom.web import matching
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db
OTHER_STUDY = "2.25.99"


@pytest.fixture
def stored(scanner: Any) -> list[Image]:
    """Two series of one study, and another patient's study."""
    first = {"StudyDate": "20240131", "StudyTime": "143005", "AccessionNumber": "A-1", "StudyDescription": "Thorax"}
    datasets = [
        modality.image(1, InstanceNumber=2, SeriesNumber=1, **first),
        modality.image(2, InstanceNumber=1, SeriesNumber=1, **first),
        modality.image(3, SeriesInstanceUID=f"{modality.STUDY}.2", Modality="CR", PatientName="Marked^Name", **first),
        modality.image(
            4, StudyInstanceUID=OTHER_STUDY, PatientID="0815", PatientName="Other^Ada", StudyDate="20240201",
            StudyTime="090000",
        ),
    ]  # fmt: skip
    assert dicomweb.store(scanner, dicomweb.body(*map(dicomweb.file, datasets))).status_code == 200
    images = list(Image.objects.order_by("created_at"))
    dicomweb.describe(images)
    return images


def uids(answer: Any, tag: str = "0020000D") -> list[str]:
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/dicom+json"
    return [row[tag]["Value"][0] for row in answer.json()]


def test_a_study_has_the_attributes_that_the_standard_requires(scanner, stored):
    (found,) = scanner.get("/dicomweb/studies?PatientID=4711").json()
    assert {tag: element.get("Value") for tag, element in found.items()} == {
        "00080020": ["20240131"], "00080030": ["143005"], "00080050": ["A-1"], "00080056": ["ONLINE"],
        "00080061": ["CR", "DX"], "00081190": [f"http://testserver/dicomweb/studies/{modality.STUDY}"],
        "00100010": [{"Alphabetic": "Marked^Name"}], "00100020": ["4711"], "00100030": None, "00100040": None,
        "0020000D": [modality.STUDY], "00201206": [2], "00201208": [3],
    }  # fmt: skip
    assert found["00201208"] == {"vr": "IS", "Value": [3]}
    (found,) = scanner.get("/dicomweb/studies?PatientID=4711&includefield=StudyDescription,00180015").json()
    assert found["00081030"]["Value"] == ["Thorax"]
    assert "00180015" not in found  # an attribute of series


#: All of them find the first study alone.
QUERIES = [
    "PatientName=marked^name", "PatientName=Mark*", "PatientName=*ked^?ame", "00100010=M*", "StudyDate=20240131",
    "StudyDate=20240101-20240131", "StudyDate=-20240131", "StudyDate=202401", "StudyTime=1430",
    "StudyTime=1400-1500", "StudyTime=12-", "AccessionNumber=A-?", "ModalitiesInStudy=CR",
    f"StudyInstanceUID={modality.STUDY},1.2.3", f"StudyInstanceUID={modality.STUDY}%5C1.2.3", "PatientID=47*",
    "PatientID=4711&AccessionNumber=&StudyDate=20240131-", "PatientName=**M*?*?*e**", "AccessionNumber=A-?*",
    "AccessionNumber=?*?",
]  # fmt: skip


def test_attributes_are_compared_as_the_standard_says(scanner, stored):
    for query in QUERIES:
        assert uids(scanner.get(f"/dicomweb/studies?{query}")) == [modality.STUDY], query


def test_query_values_are_matched_literally_except_for_wildcards(scanner, stored):
    for query in (
        "PatientID=4.11*1",
        "PatientName=Mark%25*",
        "PatientID=.*",
        "AccessionNumber=a-1",
        "PatientID=47??*?",
    ):
        assert uids(scanner.get(f"/dicomweb/studies?{query}")) == []


def test_a_query_with_many_wildcards_does_not_hold_up_the_service(scanner, stored, problem):
    """Python's regular expressions would take longer than anybody waits."""
    Instance.objects.update(study_description="a" * 64)
    begin = monotonic()
    problem(scanner.get(f"/dicomweb/studies?StudyDescription={'*a' * 30}*b"), 400, "invalid_parameter")
    for pattern in ("*" * 99 + "b", "*?" * 40 + "b", "*a*a*b"):
        assert uids(scanner.get(f"/dicomweb/studies?StudyDescription={pattern}")) == []
    assert monotonic() - begin < 5


def test_series_and_instances_are_found_in_one_study_and_in_all_studies(scanner, stored):
    study = f"/dicomweb/studies/{modality.STUDY}"
    series = scanner.get(f"{study}/series").json()
    assert [row["00201209"]["Value"] for row in series] == [[2], [1]]
    assert "00100020" not in series[0]
    assert uids(scanner.get(f"{study}/series?Modality=CR"), "0020000E") == [f"{modality.STUDY}.2"]
    assert len(uids(scanner.get(f"{study}/instances"))) == 3
    in_series = scanner.get(f"{study}/series/{modality.STUDY}.1/instances?InstanceNumber=2")
    assert uids(in_series, "00080018") == [stored[0].instance_uid]
    assert in_series.json()[0]["00081190"]["Value"][0].endswith(f"/instances/{stored[0].instance_uid}")
    assert len(uids(scanner.get("/dicomweb/series"))) == 3
    everywhere = scanner.get("/dicomweb/instances?PatientID=0815")
    assert uids(everywhere) == [OTHER_STUDY]
    assert everywhere.json()[0]["00100020"]["Value"] == ["0815"]


def test_series_are_described_and_instances_have_their_size(scanner, stored):
    described = modality.image(
        5, StudyInstanceUID="2.25.98", SeriesInstanceUID="2.25.98.1", SeriesDescription="Thorax a.p.", NumberOfFrames=1
    )
    assert dicomweb.store(scanner, dicomweb.body(dicomweb.file(described))).status_code == 200
    dicomweb.describe(list(Image.objects.order_by("created_at")[4:]))
    [series] = scanner.get("/dicomweb/series?SeriesDescription=Thorax*").json()
    assert series["0008103E"] == {"vr": "LO", "Value": ["Thorax a.p."]}
    assert "00280010" not in series
    size = ["00280008", "00280010", "00280011", "00280100"]
    [instance] = scanner.get("/dicomweb/studies/2.25.98/instances?Rows=64&NumberOfFrames=1").json()
    assert [instance[tag]["Value"] for tag in size] == [[1], [64], [64], [16]]
    assert [instance[tag]["vr"] for tag in size] == ["IS", "US", "US", "US"]
    assert scanner.get("/dicomweb/studies/2.25.98/instances?Columns=65").json() == []
    for query in ("", "?includefield=all"):  # unknown values are omitted
        [other] = scanner.get(f"/dicomweb/studies/{OTHER_STUDY}/series/{modality.STUDY}.1/instances{query}").json()
        assert not {"0008103E", "00280008"} & other.keys()
    [below] = scanner.get("/dicomweb/studies/2.25.98/series/2.25.98.1/instances?includefield=all").json()
    assert below["00280100"]["Value"] == [16]


def test_results_are_paged_and_say_if_there_are_more(scanner, stored, monkeypatch):
    both = uids(scanner.get("/dicomweb/studies"))
    assert sorted(both) == sorted([modality.STUDY, OTHER_STUDY])
    first, second = (scanner.get(f"/dicomweb/studies?limit=1&offset={offset}") for offset in (0, 1))
    assert uids(first) + uids(second) == both
    assert "more results" in first["Warning"]
    assert "Warning" not in second
    assert "no fuzzy matching" in scanner.get("/dicomweb/studies?fuzzymatching=true&PatientName=M*")["Warning"]
    monkeypatch.setattr(matching, "MOST_RESULTS", 1)
    assert len(uids(scanner.get("/dicomweb/instances?limit=99999"))) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("Colour=red", "unknown_parameter"), ("Modality=DX", "unknown_parameter"),
        ("00081110.0020000D=1", "unknown_parameter"), ("StudyDate=31.1.2024", "invalid_parameter"),
        ("StudyDate=-", "invalid_parameter"), ("StudyDate=20241341", "invalid_parameter"),
        ("StudyTime=2561", "invalid_parameter"), ("limit=-1", "invalid_parameter"),
        ("limit=1&limit=2", "invalid_parameter"),
        ("offset=100001", "invalid_parameter"), (f"PatientName={'x' * 101}", "invalid_parameter"),
        ("StudyInstanceUID=x", "invalid_parameter"), ("StudyDate=²0240131", "invalid_parameter"),
    ],
)  # fmt: skip
def test_invalid_queries_are_refused(scanner, problem, query, code):
    problem(scanner.get(f"/dicomweb/studies?{query}"), 400, code)


def test_studies_of_another_department_are_not_found(scanner, stored, make_department, client, problem):
    problem(client.get("/dicomweb/studies"), 401, "not_authenticated")
    other = User.objects.create_user("bob")
    make_department("surgery", manager=other)
    stranger = Client(headers=token_headers(other))
    instance = stored[0].instance
    series_url = f"/dicomweb/studies/{instance.study_uid}/series/{instance.series_uid}"
    for path in (
        "studies",
        "series",
        "instances",
        f"studies/{instance.study_uid}/series",
        f"studies/{instance.study_uid}/instances",
    ):
        assert uids(stranger.get(f"/dicomweb/{path}")) == []
    instance_url = f"{series_url}/instances/{instance.instance_uid}"
    ends = ("", "/metadata", "/rendered", "/frames/1", "/bulkdata/7FE00010")
    for path in (f"/dicomweb/studies/{instance.study_uid}", series_url, *(instance_url + end for end in ends)):
        problem(stranger.get(path), 404, "not_found")
    assert stored[0].department.slug == "radiology"
    assert Entry.objects.filter(action="list", person="bob", kind="dicom.instance").exists()


def test_the_number_of_queries_is_the_same_for_any_number_of_studies(scanner, stored, django_assert_max_num_queries):
    more = [
        modality.image(number, StudyInstanceUID=generate_uid(), StudyDate=f"2024{number:02}01")
        for number in range(1, 9)
    ]
    assert dicomweb.store(scanner, dicomweb.body(*map(dicomweb.file, more))).status_code == 200
    dicomweb.describe(list(Image.objects.order_by("created_at")[4:]))
    with django_assert_max_num_queries(12):
        assert len(uids(scanner.get("/dicomweb/studies"))) == 10
    assert uids(scanner.get("/dicomweb/studies?StudyDate=20240801-")) == [more[-1].StudyInstanceUID]
    assert Image.objects.filter(instance__study_date=date(2024, 8, 1)).count() == 1
