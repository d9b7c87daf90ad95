"""Guarantees that hold on each database, broker and storage of `make test-matrix`; most tests need containers."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import clients, synthetic
from tests.service import ROOT, Service

pytestmark = [pytest.mark.integration, pytest.mark.matrix]

IMAGES = 40


def restarter(variable: str) -> Callable[[], None]:
    """Return a function that restarts the container named by an environment variable."""
    name = os.environ.get(variable, "")
    if not name:
        pytest.skip(f"{variable} names no container")
    return lambda: subprocess.run(["docker", "restart", "--time", "5", name], check=True, capture_output=True)


def answer_of(call: Callable[[], httpx.Response], seconds: float = 90) -> Any:
    """Repeat a request until its answer is no server error; return its JSON."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = call()
            if answer.status_code < 500:
                return answer.raise_for_status().json()
            detail = answer.text[:200]
        except httpx.TransportError as error:
            detail = repr(error)
        assert time.monotonic() < deadline, detail
        time.sleep(0.5)


def wait_for_results(api: httpx.Client, urls: list[str], seconds: float = 180) -> list[dict[str, Any]]:
    """Wait for all results, even while servers fail, and check that none is missing."""
    deadline = time.monotonic() + seconds
    results = []
    for url in urls:
        while True:
            data = answer_of(lambda url=url: api.get(url, params={"wait": 5}))
            if data["status"] in clients.FINAL:
                break
            assert time.monotonic() < deadline, f"{url} is still {data['status']}"
        results.append(data)
    assert {result["status"] for result in results} == {"succeeded"}, [result["error"] for result in results]
    assert len({result["id"] for result in results}) == len(urls)
    return results


def post(api: httpx.Client, number: int) -> list[str]:
    return [
        clients.upload(api, synthetic.xray_jpeg(seed % 6)).raise_for_status().json()["url"] for seed in range(number)
    ]


def test_an_interactive_image_does_not_wait_for_bulk_images(service: Service) -> None:
    packed = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed % 6) for seed in range(80)})
    with clients.admin(service) as api:
        study = api.post("/api/v1/studies/", files={"files": ("bulk.zip", packed)}).raise_for_status().json()
        while api.get(study["url"]).json()["counts"]["succeeded"] == 0:
            time.sleep(0.1)
        clients.wait_final(api, clients.upload(api, synthetic.xray_jpeg(1)).json()["url"])
        counts = api.get(study["url"]).json()["counts"]
        print(f"\n{counts['succeeded']} of 80 bulk images were read before an interactive one")
        while study["status"] != "finished":
            study = api.get(study["url"], params={"wait": 20}).json()
    assert counts["succeeded"] < 70
    assert study["counts"]["succeeded"] == 80


def test_all_images_are_read_after_the_broker_restarts(service: Service) -> None:
    restart = restarter("TEST_BROKER_CONTAINER")
    with clients.admin(service) as api:
        urls = post(api, IMAGES)
        started = time.monotonic()
        restart()
        down = time.monotonic() - started
        urls += post(api, 4)
        wait_for_results(api, urls)
    print(
        f"\nthe broker was restarted in {down:.0f} s; all were read {time.monotonic() - started:.0f} s after its stop"
    )


def test_all_images_are_read_after_the_database_restarts(service: Service) -> None:
    restart = restarter("TEST_DATABASE_CONTAINER")
    with clients.admin(service) as api:
        urls = post(api, IMAGES)
        started = time.monotonic()
        restart()
        down = time.monotonic() - started
        urls.append(answer_of(lambda: clients.upload(api, synthetic.xray_jpeg(1)))["url"])
        wait_for_results(api, urls)
    print(
        f"\nthe database was restarted in {down:.0f} s; all were read {time.monotonic() - started:.0f} s after its stop"
    )


def test_all_images_are_read_after_the_store_stops_for_a_while(service: Service) -> None:
    store = int(os.environ.get("TEST_S3_PROCESS") or pytest.skip("the files are in a folder"))
    with clients.admin(service) as api:
        urls = post(api, IMAGES)
        os.kill(store, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            refused = clients.upload(api, synthetic.xray_jpeg(1))
            assert refused.status_code == 503
            assert refused.json()["code"] == "storage_unavailable"
        finally:
            os.kill(store, signal.SIGCONT)
        down = time.monotonic() - stopped
        results = wait_for_results(api, urls)
    assert max(result["attempts"] for result in results) == 1, "the outage counts as no image's attempt"
    print(f"\nthe store was away for {down:.0f} s; all were read {time.monotonic() - stopped:.0f} s after its stop")


def test_files_are_in_the_configured_storage(service: Service) -> None:
    with clients.admin(service) as api:
        result = clients.wait_final(api, post(api, 1)[0])
        assert api.get(result["preview_url"]).headers["content-type"] == "image/jpeg"
    on_this_machine = any((service.data_dir / "media").rglob("*.png"))
    assert on_this_machine is not bool(os.environ.get("S3_BUCKET")), (
        "with a store, no file is in this machine's folders"
    )


def test_a_backup_of_a_running_service_is_consistent(service: Service, tmp_path: Path) -> None:
    def manage(*command: str, **environment: str) -> str:
        completed = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=ROOT, capture_output=True, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        assert completed.returncode == 0, completed.stderr
        return completed.stdout

    archive = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed % 6) for seed in range(30)})
    with clients.admin(service) as api:
        study = api.post("/api/v1/studies/", files={"files": ("bulk.zip", archive)}).raise_for_status().json()
        urls = post(api, 20)
        before = len(api.get("/api/v1/images/?page_size=500").json()["results"])
        output = manage("backup", str(tmp_path / "backup.tar"), DATA_DIR=str(service.data_dir))
        assert "gone" not in output, output
        after = len(api.get("/api/v1/images/?page_size=500").json()["results"])
        wait_for_results(api, urls)
        clients.wait_final(api, study["url"])
    restored_to = tmp_path / "new"
    restored_to.mkdir()
    environment_of_copy = {
        "DATA_DIR": str(restored_to),
        "DATABASE_URL": f"sqlite:///{restored_to / 'db.sqlite3'}",
        "S3_BUCKET": "",
    }
    output = manage("restore", str(tmp_path / "backup.tar"), **environment_of_copy)
    restored = int(output.split("studies.image: ")[1].split("\n")[0])
    assert before <= restored <= after
