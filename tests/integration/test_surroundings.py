"""What the databases, brokers and storages of `make test-matrix` must all keep; most of it needs their containers."""

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


def restart(variable: str) -> Callable[[], None]:
    """A function that restarts the container which an environment variable names."""
    name = os.environ.get(variable, "")
    if not name:
        pytest.skip(f"{variable} names no container")
    return lambda: subprocess.run(["docker", "restart", "--time", "5", name], check=True, capture_output=True)  # type: ignore[return-value]


def patiently(call: Callable[[], httpx.Response], seconds: float = 90) -> Any:
    """Ask until there is an answer other than that something is broken."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = call()
            if answer.status_code < 500:
                return answer.raise_for_status().json()
            answered = answer.text[:200]
        except httpx.TransportError as error:
            answered = repr(error)
        assert time.monotonic() < deadline, answered
        time.sleep(0.5)


def results_once(by: httpx.Client, urls: list[str], seconds: float = 180) -> list[dict[str, Any]]:
    """Wait for all of them, whatever is broken meanwhile."""
    deadline = time.monotonic() + seconds
    results = []
    for url in urls:
        while True:
            data = patiently(lambda url=url: by.get(url, params={"wait": 5}))
            if data["status"] in clients.FINAL:
                break
            assert time.monotonic() < deadline, f"{url} is still {data['status']}"
        results.append(data)
    assert {result["status"] for result in results} == {"succeeded"}, [result["error"] for result in results]
    assert len({result["id"] for result in results}) == len(urls)
    return results


def post(by: httpx.Client, number: int) -> list[str]:
    return [
        clients.upload(by, synthetic.xray_jpeg(seed % 6)).raise_for_status().json()["url"] for seed in range(number)
    ]


def test_an_interactive_image_does_not_wait_for_the_bulk(service: Service) -> None:
    packed = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed % 6) for seed in range(80)})
    with clients.admin(service) as by:
        study = by.post("/api/v1/studies/", files={"files": ("bulk.zip", packed)}).raise_for_status().json()
        while by.get(study["url"]).json()["counts"]["succeeded"] == 0:
            time.sleep(0.1)
        clients.wait_final(by, clients.upload(by, synthetic.xray_jpeg(1)).json()["url"])
        counts = by.get(study["url"]).json()["counts"]
        print(f"\nof 80 bulk images {counts['succeeded']} were read before an interactive one")
        while study["status"] != "finished":
            study = by.get(study["url"], params={"wait": 20}).json()
    assert counts["succeeded"] < 70
    assert study["counts"]["succeeded"] == 80


def test_the_broker_restarts(service: Service) -> None:
    again = restart("TEST_BROKER_CONTAINER")
    with clients.admin(service) as by:
        urls = post(by, IMAGES)
        started = time.monotonic()
        again()
        down = time.monotonic() - started
        urls += post(by, 4)
        results_once(by, urls)
    print(
        f"\nthe broker was restarted in {down:.0f} s; all were read {time.monotonic() - started:.0f} s after its stop"
    )


def test_the_database_restarts(service: Service) -> None:
    again = restart("TEST_DATABASE_CONTAINER")
    with clients.admin(service) as by:
        urls = post(by, IMAGES)
        started = time.monotonic()
        again()
        down = time.monotonic() - started
        urls.append(patiently(lambda: clients.upload(by, synthetic.xray_jpeg(1)))["url"])
        results_once(by, urls)
    print(
        f"\nthe database was restarted in {down:.0f} s; all were read {time.monotonic() - started:.0f} s after its stop"
    )


def test_the_store_is_away_for_a_while(service: Service) -> None:
    store = int(os.environ.get("TEST_S3_PROCESS") or pytest.skip("the files are in a folder"))
    with clients.admin(service) as by:
        urls = post(by, IMAGES)
        os.kill(store, signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            refused = clients.upload(by, synthetic.xray_jpeg(1))
            assert refused.status_code == 503
            assert refused.json()["code"] == "storage_unavailable"
        finally:
            os.kill(store, signal.SIGCONT)
        down = time.monotonic() - stopped
        results = results_once(by, urls)
    assert max(result["attempts"] for result in results) == 1, "it is no image's fault"
    print(f"\nthe store was away for {down:.0f} s; all were read {time.monotonic() - stopped:.0f} s after its stop")


def test_files_are_where_they_should_be(service: Service) -> None:
    with clients.admin(service) as by:
        result = clients.wait_final(by, post(by, 1)[0])
        assert by.get(result["preview_url"]).headers["content-type"] == "image/jpeg"
    here = any((service.data_dir / "media").rglob("*.png"))
    assert here is not bool(os.environ.get("S3_BUCKET")), "with a store, nothing goes through this machine's folders"


def test_a_backup_of_a_service_that_runs_on_is_of_one_moment(service: Service, tmp_path: Path) -> None:
    def manage(*command: str, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *command], cwd=ROOT, capture_output=True, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    packed = synthetic.zip_of({f"{seed}.jpeg": synthetic.xray_jpeg(seed % 6) for seed in range(30)})
    with clients.admin(service) as by:
        study = by.post("/api/v1/studies/", files={"files": ("bulk.zip", packed)}).raise_for_status().json()
        urls = post(by, 20)
        before = len(by.get("/api/v1/images/?page_size=500").json()["results"])
        answered = manage("backup", str(tmp_path / "backup.tar"), DATA_DIR=str(service.data_dir))
        assert "gone" not in answered, answered
        after = len(by.get("/api/v1/images/?page_size=500").json()["results"])
        results_once(by, urls)
        clients.wait_final(by, study["url"])
    new = tmp_path / "new"
    new.mkdir()
    elsewhere = {"DATA_DIR": str(new), "DATABASE_URL": f"sqlite:///{new / 'db.sqlite3'}", "S3_BUCKET": ""}
    answered = manage("restore", str(tmp_path / "backup.tar"), **elsewhere)
    restored = int(answered.split("studies.image: ")[1].split("\n")[0])
    assert before <= restored <= after
