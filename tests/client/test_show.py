"""What commands print about studies and images."""

import json

import httpx
import pytest
from pneumoqueue.cli import main

from tests.client.conftest import problem

pytestmark = pytest.mark.usefixtures("signed_in")
STUDY, IMAGE = "7c0f0000-0000-4000-8000-000000000001", "7c0f0000-0000-4000-8000-000000000002"
STUDY_JSON = {
    "id": STUDY, "name": "ward [3]", "status": "finished", "total": 2, "counts": {"succeeded": 1, "failed": 1},
    "page_url": "http://x/studies/1", "created_at": "2026-11-26T05:00:00Z",
}  # fmt: skip
IMAGE_JSON = {
    "id": IMAGE, "filename": "a.jpg", "status": "succeeded", "error": None, "probability": 0.97132,
    "result_group": "positive", "page_url": "http://x/images/2",
}  # fmt: skip


@pytest.fixture(autouse=True)
def jobs(fake_server):
    def answer(request, body):
        path = request.url.path
        if request.method == "DELETE":
            return httpx.Response(204)
        if path == "/api/v1/studies/":
            return httpx.Response(200, json={"next": None, "results": [STUDY_JSON]})
        if path == f"/api/v1/studies/{STUDY}/images/":
            return httpx.Response(
                200, json={"next": None, "results": [IMAGE_JSON, {**IMAGE_JSON, "filename": "é.jpg"}]}
            )
        if path == f"/api/v1/studies/{STUDY}/results.csv":
            return httpx.Response(200, content="\ufeffrow,filename\r\n1,é.jpg\r\n".encode())
        found = {f"/api/v1/studies/{STUDY}/": STUDY_JSON, f"/api/v1/images/{IMAGE}/": IMAGE_JSON}.get(path)
        return httpx.Response(200, json=found) if found else problem(404, "not_found")

    fake_server.answer = answer


def test_status_shows_studies_and_images(capsys):
    assert main(["status", STUDY]) == main(["status", IMAGE]) == main(["status"]) == 0
    printed = capsys.readouterr().out
    assert "ward [3]" in printed
    assert "2026-11-26" in printed, "the date fits into 80 columns"
    assert "finished: 2 (1 succeeded, 1 failed)" in printed
    assert "succeeded: positive, probability of pneumonia 0.971" in printed


def test_an_unusable_image_is_printed_with_its_reason_and_no_probability(capsys, monkeypatch):
    warning = {"code": "not_chest_xray", "detail": "It looks like no chest X-ray."}
    monkeypatch.setitem(IMAGE_JSON, "result_group", "unusable")
    monkeypatch.setitem(IMAGE_JSON, "warnings", [warning])
    assert main(["status", IMAGE]) == 0
    printed = capsys.readouterr().out
    assert "succeeded: unusable: It looks like no chest X-ray." in printed
    assert "0.97" not in printed


def test_a_readers_verdict_comes_before_the_models_answer(capsys, monkeypatch):
    monkeypatch.setitem(IMAGE_JSON, "verdict", "NORMAL")
    monkeypatch.setitem(IMAGE_JSON, "verdict_kind", None)
    assert main(["status", IMAGE]) == 0
    assert "succeeded: NORMAL by a reader; the model: positive, probability" in capsys.readouterr().out


def test_status_as_json(capsys):
    assert main(["status", STUDY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == STUDY_JSON


def test_results_as_a_table_are_the_servers_bytes(capfdbinary):
    assert main(["results", STUDY]) == 0
    assert capfdbinary.readouterr().out == "\ufeffrow,filename\r\n1,é.jpg\r\n".encode()


def test_results_as_json_are_all_images(tmp_path):
    assert main(["results", STUDY, "--json", "-o", str(tmp_path / "r.json")]) == 0
    assert [image["filename"] for image in json.loads((tmp_path / "r.json").read_text("utf-8"))] == ["a.jpg", "é.jpg"]
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["r.json"]


def test_an_output_file_that_cannot_be_written_is_wrong_usage(tmp_path):
    assert main(["results", STUDY, "-o", str(tmp_path / "none" / "r.csv")]) == 2


@pytest.mark.parametrize(("pk", "code"), [("7c0f", 5), ("../../x", 2), ("", 2)])
def test_missing_and_invalid_ids_are_errors(pk, code):
    assert main(["status", pk]) == code


def test_deleting_asks_first(fake_server, monkeypatch, capsys):
    assert main(["delete", STUDY]) == 2, "no terminal to ask on"
    answers = iter(["no\n", "y\n"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: next(answers))
    assert main(["delete", STUDY]) == 5
    assert main(["delete", STUDY]) == 0
    assert [str(request.url.path) for request in fake_server.requests if request.method == "DELETE"] == [
        f"/api/v1/studies/{STUDY}/"
    ]
    assert "Delete the study ward [3] with 2 images for good" in capsys.readouterr().err


def test_deleting_with_yes_does_not_ask(fake_server):
    assert main(["delete", IMAGE, "--yes"]) == 0
    assert fake_server.requests[-1].url.path == f"/api/v1/images/{IMAGE}/"
