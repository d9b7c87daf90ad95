"""A study with a manifest, from its ZIP to its table, with real processes."""

import csv
import io
import json

import pytest

from tests import clients, synthetic
from tests.service import Service

pytestmark = pytest.mark.integration

MANIFEST = """File;Patient;Age;Sex;View;Comment
1.jpeg;P-1;2,5;F;PA;Müller sagt: hustet
2.jpeg;P-2;64;M;AP;
3.jpeg;P-1;3;;lateral;
gone.jpeg;P-9;3;;;
"""


def test_the_table_of_a_study_with_a_manifest(service: Service) -> None:
    files = {f"ward/{seed}.jpeg": synthetic.xray_jpeg(seed) for seed in range(1, 5)}
    packed = synthetic.zip_of({**files, "ward/manifest.csv": MANIFEST.encode("cp1252")})
    with clients.client(service) as guest:
        accepted = guest.post("/api/v1/studies/", files=[("files", ("ward.zip", packed))], data={"name": "Ward 3"})
        assert accepted.status_code == 202, accepted.text
        study = clients.wait_final(guest, accepted.json()["url"])
        assert study["counts"]["succeeded"] == study["total"] == 4
        report = study["manifest"]
        assert (report["rows"], report["files"], report["warnings"], report["errors"]) == (4, 3, [], [])
        assert report["rows_without_file"] == {"count": 1, "names": ["gone.jpeg"]}
        assert report["files_without_row"] == {"count": 1, "names": ["ward.zip/ward/4.jpeg"]}
        answer = guest.get(study["results_url"])
        lines = [json.loads(line) for line in guest.get(f"{study['url']}results.jsonl").text.splitlines()]
        patients = guest.get("/api/v1/patients/").json()["results"]
    assert answer.headers["content-disposition"] == 'attachment; filename="Ward 3.csv"'
    rows = {row["filename"]: row for row in csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))}
    first, second, third, fourth = (rows[f"ward/{seed}.jpeg"] for seed in range(1, 5))
    assert [row["patient"] for row in (first, second, third, fourth)] == ["P-1", "P-2", "P-1", ""]
    assert (first["age"], first["view"], first["comment"]) == ("2.5", "PA", "Müller sagt: hustet")
    assert "age_outside_training" in second["warnings"].split()
    assert "view_not_frontal" in third["warnings"].split()
    for row in (first, fourth):
        assert not {"age_outside_training", "view_not_frontal"} & set(row["warnings"].split())
    for row in (second, third):
        assert (row["label"], row["result_group"], row["reliable"]) == ("", "unusable", "false")
    assert {line["filename"]: line["age"] for line in lines} == {
        "ward/1.jpeg": 2.5, "ward/2.jpeg": 64, "ward/3.jpeg": 3, "ward/4.jpeg": None,
    }  # fmt: skip
    assert {patient["identifier"]: patient["sex"] for patient in patients} == {"P-1": "F", "P-2": "M"}
