"""What commands print of studies and images."""

import json

import httpx
import pytest
from pneumoqueue.cli import main

from tests.client.conftest import problem

pytestmark = pytest.mark.usefixtures("signed_in")
STUDY, IMAGE = "7c0f0000-0000-4000-8000-000000000001", "7c0f0000-0000-4000-8000-000000000002"
ABOUT = {"id": STUDY, "name": "ward [3]", "status": "finished", "total": 2, "counts": {"succeeded": 1, "failed": 1},
         "page_url": "http://x/studies/1", "created_at": "2026-11-26T05:00:00Z"}  # fmt: skip
READ = {"id": IMAGE, "filename": "a.jpg", "status": "succeeded", "error": None, "probability": 0.97132,
        "result_group": "positive", "page_url": "http://x/images/2"}  # fmt: skip


@pytest.fixture(autouse=True)
def jobs(pretended):
    def answer(request, body):
        path = request.url.path
        if request.method == "DELETE":
            return httpx.Response(204)
        if path == "/api/v1/studies/":
            return httpx.Response(200, json={"next": None, "results": [ABOUT]})
        if path == f"/api/v1/studies/{STUDY}/images/":
            return httpx.Response(200, json={"next": None, "results": [READ, {**READ, "filename": "é.jpg"}]})
        if path == f"/api/v1/studies/{STUDY}/results.csv":
            return httpx.Response(200, content="\ufeffrow,filename\r\n1,é.jpg\r\n".encode())
        found = {f"/api/v1/studies/{STUDY}/": ABOUT, f"/api/v1/images/{IMAGE}/": READ}.get(path)
        return httpx.Response(200, json=found) if found else problem(404, "not_found")

    pretended.answer = answer


def test_status(capsys):
    assert main(["status", STUDY]) == main(["status", IMAGE]) == main(["status"]) == 0
    printed = capsys.readouterr().out
    assert "ward [3]" in printed
    assert "2026-11-26" in printed, "in a window of 80 columns"
    assert "finished: 2 (1 succeeded, 1 failed)" in printed
    assert "succeeded: positive, probability of pneumonia 0.971" in printed


def test_an_unusable_image_is_told_with_its_reason_and_no_number(capsys, monkeypatch):
    warning = {"code": "not_chest_xray", "detail": "It looks like no chest X-ray."}
    monkeypatch.setitem(READ, "result_group", "unusable")
    monkeypatch.setitem(READ, "warnings", [warning])
    assert main(["status", IMAGE]) == 0
    printed = capsys.readouterr().out
    assert "succeeded: unusable: It looks like no chest X-ray." in printed
    assert "0.97" not in printed


def test_a_readers_verdict_comes_before_the_models_answer(capsys, monkeypatch):
    monkeypatch.setitem(READ, "verdict", "NORMAL")
    monkeypatch.setitem(READ, "verdict_kind", None)
    assert main(["status", IMAGE]) == 0
    assert "succeeded: NORMAL by a reader; the model: positive, probability" in capsys.readouterr().out


def test_status_as_json(capsys):
    assert main(["status", STUDY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ABOUT


def test_results_as_a_table_are_the_servers_bytes(capfdbinary):
    assert main(["results", STUDY]) == 0
    assert capfdbinary.readouterr().out == "\ufeffrow,filename\r\n1,é.jpg\r\n".encode()


def test_results_as_json_are_all_images(tmp_path):
    assert main(["results", STUDY, "--json", "-o", str(tmp_path / "r.json")]) == 0
    assert [image["filename"] for image in json.loads((tmp_path / "r.json").read_text("utf-8"))] == ["a.jpg", "é.jpg"]
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["r.json"]


def test_a_file_that_cannot_be_written(tmp_path):
    assert main(["results", STUDY, "-o", str(tmp_path / "none" / "r.csv")]) == 2


@pytest.mark.parametrize(("pk", "code"), [("7c0f", 5), ("../../x", 2), ("", 2)])
def test_what_is_not_there(pk, code):
    assert main(["status", pk]) == code


def test_deleting_asks_first(pretended, monkeypatch, capsys):
    assert main(["delete", STUDY]) == 2, "no terminal to ask on"
    answers = iter(["no\n", "y\n"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: next(answers))
    assert main(["delete", STUDY]) == 5
    assert main(["delete", STUDY]) == 0
    assert [str(request.url.path) for request in pretended.requests if request.method == "DELETE"] == [
        f"/api/v1/studies/{STUDY}/"
    ]
    assert "Delete the study ward [3] with 2 images for good" in capsys.readouterr().err


def test_deleting_without_being_asked(pretended):
    assert main(["delete", IMAGE, "--yes"]) == 0
    assert pretended.requests[-1].url.path == f"/api/v1/images/{IMAGE}/"
