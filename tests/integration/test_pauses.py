"""A pause survives the death of all processes: the real workers are killed while it lasts."""

import re
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests import clients, synthetic
from tests.service import Service, launched, running

pytestmark = [pytest.mark.long, pytest.mark.integration]


def signed_in(service: Service) -> httpx.Client:
    """A browser in which the admin is signed in."""
    browser = httpx.Client(base_url=service.url, timeout=30, follow_redirects=True)
    post(browser, "/accounts/login/", login="admin", password=service.admin_password)
    return browser


def post(browser: httpx.Client, path: str, **form: str) -> None:
    page = browser.get(path).raise_for_status().text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    headers = {"Referer": f"{browser.base_url}{path}"}
    browser.post(path, data={"csrfmiddlewaretoken": token[1], **form}, headers=headers).raise_for_status()


def attempts(service: Service) -> int:
    """The number of attempts counted for all images."""
    with closing(sqlite3.connect(service.data_dir / "db.sqlite3")) as database:
        rows = database.execute("SELECT attempts FROM studies_image UNION ALL SELECT attempts FROM studies_reading")
        return sum(number for (number,) in rows)


def test_a_queue_stays_paused_when_all_processes_are_killed(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        with closing(signed_in(service)) as browser:
            post(browser, "/queue/priorities/interactive/pause/", reason="The test of the power.")
        with clients.admin(service) as api:
            urls = [clients.upload(api, synthetic.xray_jpeg(seed)).json()["url"] for seed in range(3)]
            time.sleep(3)
            assert {api.get(url).json()["status"] for url in urls} == {"queued"}
        for process in psutil.Process(service.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ended with its parent
                process.kill()
        service.process.kill()
    with launched(tmp_path) as service:
        service.wait_ready()
        paths = [httpx.URL(url).path for url in urls]
        with clients.admin(service) as api, closing(signed_in(service)) as browser:
            time.sleep(25)  # the reconciler runs twice
            assert {api.get(path).json()["status"] for path in paths} == {"queued"}, "still paused"
            assert attempts(service) == 0
            assert "was paused by an administrator" in browser.get(paths[0].replace("/api/v1", "")).text
            post(browser, "/queue/priorities/interactive/resume/")
            results = [clients.wait_final(api, path) for path in paths]
            assert [(result["status"], result["attempts"]) for result in results] == [("succeeded", 1)] * 3
            queues = api.get("/api/v1/queues/").json()
    assert {worker["role"] for worker in queues["workers"]} == {"ingest", "bulk", "infer", "deliver"}
    assert all(worker["memory_bytes"] for worker in queues["workers"])
    assert queues["batches"]
