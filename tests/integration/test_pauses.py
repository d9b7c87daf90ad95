"""A pause outlives every process: with real workers, all of which are killed meanwhile."""

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
    """The admin's browser."""
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
    """The attempts that were counted for any image."""
    with closing(sqlite3.connect(service.data_dir / "db.sqlite3")) as database:
        rows = database.execute("SELECT attempts FROM studies_image UNION ALL SELECT attempts FROM studies_reading")
        return sum(number for (number,) in rows)


def test_a_queue_that_is_paused_stays_so_whatever_is_killed(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        with closing(signed_in(service)) as browser:
            post(browser, "/queue/priorities/interactive/pause/", reason="The test of the power.")
        with clients.admin(service) as by:
            urls = [clients.upload(by, synthetic.xray_jpeg(seed)).json()["url"] for seed in range(3)]
            time.sleep(3)
            assert {by.get(url).json()["status"] for url in urls} == {"queued"}
        for process in psutil.Process(service.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it went with its parent
                process.kill()
        service.process.kill()
    with launched(tmp_path) as service:
        service.wait_ready()
        paths = [httpx.URL(url).path for url in urls]
        with clients.admin(service) as by, closing(signed_in(service)) as browser:
            time.sleep(25)  # the reconciler looks twice
            assert {by.get(path).json()["status"] for path in paths} == {"queued"}, "still paused"
            assert attempts(service) == 0
            assert "was paused by an administrator" in browser.get(paths[0].replace("/api/v1", "")).text
            post(browser, "/queue/priorities/interactive/resume/")
            results = [clients.wait_final(by, path) for path in paths]
            assert [(one["status"], one["attempts"]) for one in results] == [("succeeded", 1)] * 3
            found = by.get("/api/v1/queues/").json()
    assert {worker["role"] for worker in found["workers"]} == {"ingest", "bulk", "infer", "deliver"}
    assert all(worker["memory_bytes"] for worker in found["workers"])
    assert found["batches"]
