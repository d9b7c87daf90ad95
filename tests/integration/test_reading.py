"""From an upload to its result, with real processes."""

import base64
import csv
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from ml.bundles.bundle import Bundle
from ml.pictures import xray
from ml.pictures.preprocess import to_input
from tests import clients, synthetic
from tests.service import ROOT, Service, bundle

pytestmark = pytest.mark.integration


def test_a_guests_image_is_read_and_belongs_to_the_guest(service: Service) -> None:
    with clients.client(service) as guest:
        accepted = clients.upload(guest, synthetic.xray_jpeg(1), patient="P-1")
        assert accepted.status_code == 202, accepted.text
        job = accepted.json()
        assert accepted.headers["Location"] == job["url"]
        result = clients.wait_final(guest, job["url"])
    assert result["status"] == "succeeded"
    assert 0 <= result["probability"] <= 1
    if result["reliable"]:
        assert (result["label"] == "PNEUMONIA") == (result["probability"] >= result["threshold"])
        assert result["result_group"] in ("positive", "unclear", "negative")
    else:
        assert (result["label"], result["result_group"]) == (None, "unusable")
    [reading] = result["readings"]
    assert (reading["model"], reading["shadow"], reading["status"]) == (result["model"], False, "succeeded")
    assert result["model"] == Bundle.read(bundle()).id
    assert result["patient"] == "P-1"
    assert result["attempts"] == 1
    assert all(result["timings"][step] is not None for step in ("ingest_s", "infer_wait_s", "infer_s", "total_s"))
    # The token alone gives access too; nobody else has it.
    assert httpx.get(job["url"], headers={"X-Job-Token": job["token"]}).json()["status"] == "succeeded"
    assert httpx.get(job["url"]).status_code == 404
    for name in ("preview_url", "input_url", "heatmap_url"):
        assert httpx.get(result[name]).status_code == 404
        assert httpx.get(result[name], headers={"X-Job-Token": job["token"]}).headers["content-type"][:6] == "image/"


@pytest.mark.long
def test_the_service_and_the_command_line_agree(service: Service, tmp_path: Path) -> None:
    contents = {f"{seed}.jpeg": synthetic.xray_jpeg(seed) for seed in range(5)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    subprocess.run(
        [sys.executable, "-m", "ml", "predict", "--model", bundle(), "--json", tmp_path / "report.json",
         *(tmp_path / name for name in contents)],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    predictions = {Path(row["file"]).name: row for row in json.loads((tmp_path / "report.json").read_text())}
    with clients.admin(service) as api:
        for name, content in contents.items():
            result = clients.wait_final(api, clients.upload(api, content, name).json()["url"])
            assert result["probability"] == pytest.approx(predictions[name]["probability"], abs=1e-3)
            assert result["warnings"] == predictions[name]["warnings"]
            assert result["reliable"] is not any(w["code"] == "not_chest_xray" for w in result["warnings"])
            assert result["label"] == (predictions[name]["label"] if result["reliable"] else None)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (synthetic.empty, "file_empty"),
        (synthetic.text, "not_an_image"),
        (synthetic.svg, "svg_not_supported"),
        (synthetic.truncated_jpeg, "image_truncated"),
        (synthetic.tiny_png, "image_too_small"),
        (synthetic.bomb_png, "image_too_large"),
    ],
)
def test_bad_input_has_its_own_code_and_sentence(service: Service, make, code: str) -> None:
    with clients.client(service) as guest:
        answer = clients.upload(guest, make(), "chest.jpg")
        if answer.status_code == 202:
            result = clients.wait_final(guest, answer.json()["url"])
            assert result["status"] == "failed"
            error = result["error"]
        else:
            assert 400 <= answer.status_code < 500
            assert answer.headers["content-type"] == "application/problem+json"
            error = answer.json()
    assert error["code"] == code
    assert error["detail"].endswith(".")


def test_the_first_reports_interface(service: Service) -> None:
    image = base64.b64encode(synthetic.xray_jpeg(3)).decode()
    answer = httpx.post(f"{service.url}/predict", json={"image": image}, timeout=60)
    assert answer.status_code == 200, answer.text
    [[normal, pneumonia]] = answer.json()["prediction"]
    assert 0 <= normal <= 1
    assert answer.json()["probability"] == pneumonia


def test_a_study_with_a_zip_and_a_bad_file(service: Service) -> None:
    packed = synthetic.zip_of({f"scan/{seed}.jpeg": synthetic.xray_jpeg(seed) for seed in range(12)})
    files = [
        ("files", ("study.zip", packed)),
        ("files", ("one.png", synthetic.xray_png(99))),
        ("files", ("notes.jpg", synthetic.text())),
    ]
    with clients.client(service) as guest:
        accepted = guest.post("/api/v1/studies/", files=files, data={"name": "ward 3"})
        assert accepted.status_code == 202, accepted.text
        study = accepted.json()
        assert study["total"] == 14
        while study["status"] not in ("finished", "cancelled"):
            study = guest.get(study["url"], params={"wait": 30}).json()
            assert sum(study["counts"].values()) == 14
        assert study["counts"]["succeeded"] == 13
        assert study["counts"]["failed"] == 1
        assert study["eta_seconds"] == 0
        rows = list(csv.DictReader(io.StringIO(guest.get(study["results_url"]).text)))
    assert len(rows) == 14
    by_name = {row["filename"]: row for row in rows}
    assert by_name["notes.jpg"]["error_code"] == "not_an_image"
    for name, row in by_name.items():
        if name != "notes.jpg":
            assert row["label"] in (("NORMAL", "PNEUMONIA") if row["reliable"] == "true" else ("",))
            assert row["result_group"] in ("positive", "unclear", "negative", "unusable")


def test_many_at_once_are_read_in_batches(service: Service) -> None:
    contents = [synthetic.xray_jpeg(seed) for seed in range(8)] * 3
    load = clients.post_many(service, contents, clients=16)
    assert load.succeeded == len(contents)
    assert load.mean_batch > 1
    assert {result["attempts"] for result in load.results} == {1}


def test_flower_shows_workers_queues_and_tasks(service: Service) -> None:
    clients.post_many(service, [synthetic.xray_jpeg(5)], clients=1)
    with httpx.Client(base_url=service.flower_url, auth=("admin", service.flower_password())) as flower:
        deadline = time.monotonic() + 30  # Flower asks the workers, which may be busy for longer than it waits
        names: set[str] = set()
        everyone = {"ingest", "bulk", "infer", "deliver"}
        while names != everyone and time.monotonic() < deadline:
            names = {name.split("@")[0] for name in flower.get("/flower/api/workers", params={"refresh": 1}).json()}
        tasks = flower.get("/flower/api/tasks").json().values()
    assert names == everyone
    assert {task["name"] for task in tasks if task["state"] == "SUCCESS"} >= {"worker.ingest", "worker.infer"}
    assert httpx.get(f"{service.flower_url}/flower/api/tasks").status_code == 401


def test_health_readiness_and_metrics(service: Service) -> None:
    assert httpx.get(f"{service.url}/healthz").json() == {"status": "ok"}
    ready = httpx.get(f"{service.url}/readyz")
    assert ready.status_code == 200, ready.text
    assert all(ready.json()["parts"].values())
    metrics = httpx.get(f"{service.url}/metrics").text
    assert 'pneumoqueue_workers{role="infer"} 1.0' in metrics
    assert 'pneumoqueue_queue_messages{queue="infer.interactive"}' in metrics


def test_the_stored_input_is_as_in_training(service: Service) -> None:
    """Training and serving share their preprocessing, so not a pixel differs."""
    content = synthetic.xray_jpeg(8, (1400, 1100))
    with clients.admin(service) as api:
        result = clients.wait_final(api, clients.upload(api, content).json()["url"])
        stored = Image.open(io.BytesIO(api.get(result["input_url"]).content))
    expected = to_input(xray.load(content), Bundle.read(bundle()).preprocessing)
    np.testing.assert_array_equal(np.asarray(stored), expected)


@pytest.mark.long
@pytest.mark.real_data
def test_real_originals_are_stored_as_in_training(service: Service, originals: list[Path]) -> None:
    with clients.admin(service) as api:
        for file in originals[::10]:
            result = clients.wait_final(api, clients.upload(api, file.read_bytes()).json()["url"])
            stored = Image.open(io.BytesIO(api.get(result["input_url"]).content))
            expected = to_input(xray.load(file.read_bytes()), Bundle.read(bundle()).preprocessing)
            np.testing.assert_array_equal(np.asarray(stored), expected)


def test_every_log_line_about_an_image_has_the_request_id_of_its_upload(service: Service) -> None:
    with clients.client(service, headers={"X-Request-ID": "the-clients-own-id"}) as guest:
        job = clients.upload(guest, synthetic.xray_jpeg(21)).json()
        clients.wait_final(guest, job["url"])
    deadline = time.monotonic() + 10
    lines: list[dict[str, str]] = []
    while {line["process"] for line in lines} != {"web", "ingest", "infer"} and time.monotonic() < deadline:
        lines = [json.loads(line) for line in service.log_lines() if job["id"] in line]
        time.sleep(0.1)
    lines.sort(key=lambda line: line["time"])
    assert [line["process"] for line in lines] == ["web", "ingest", "infer"]
    assert {(line["request_id"], line["image_id"]) for line in lines} == {("the-clients-own-id", job["id"])}
    # Programs that are not Python's write other lines too; none of ours is among those.
    unstructured = [line for line in service.log_lines() if not line.startswith("{")]
    assert not [line for line in unstructured if re.search(r"webapp|worker\.|celery\.|gunicorn|uvicorn", line)]
