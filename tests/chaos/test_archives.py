"""Many ZIPs are sent at once and the workers that unpack them are killed: every file becomes exactly one image.

The sizes come from the environment. The full proof, which takes half an hour on two processors, is::

    export GIVE_WAY_SECONDS=0
    CHAOS_ZIPS=10 CHAOS_FILES=5000 CHAOS_READ=no python -m pytest -s -m chaos tests/chaos/test_archives.py

``CHAOS_READ=no`` suspends the infer worker: no image is read, and all processor time goes to unpacking and preparing.
Preparing must not give way to reading then, hence ``GIVE_WAY_SECONDS=0``.
"""

import os
import random
import re
import signal
import sqlite3
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psutil
import pytest

from tests import clients, synthetic
from tests.service import Service
from webapp.storage.folder import UNFINISHED

pytestmark = [pytest.mark.chaos, pytest.mark.integration]

ZIPS = int(os.environ.get("CHAOS_ZIPS", "3"))
FILES = int(os.environ.get("CHAOS_FILES", "300"))
KILLS = int(os.environ.get("CHAOS_KILLS", str(2 * ZIPS)))
READ = os.environ.get("CHAOS_READ", "yes") == "yes"
#: Celery's log line for a message whose image was already prepared because of another message.
NOTHING_TO_DO = re.compile(r"worker\.ingest\[.*'(nothing to do|overtaken)'")
#: Seconds between two kills.
PAUSE = 4.0
#: The longest acceptable wait for an interactive upload.
ANSWER_SECONDS = float(os.environ.get("CHAOS_ANSWER_SECONDS", "2"))
#: The lease of every lost claim has to end first; an image takes a few hundredths of a second.
LIMIT_SECONDS = 300 + 80 * ZIPS + 0.1 * ZIPS * FILES


class Interactive(threading.Thread):
    """A user who uploads an image every second and waits until it is prepared."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.done = threading.Event()
        self.answered: list[float] = []
        self.prepared: list[float] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with clients.admin(self.service) as client:
                while not self.done.wait(1):
                    self.upload(client)
        except Exception as error:
            self.error = error

    def upload(self, client: Any) -> None:
        started = time.monotonic()
        answer = clients.upload(client, synthetic.xray_jpeg(len(self.answered) % 7))
        assert answer.status_code == 202, answer.text
        self.answered.append(time.monotonic() - started)
        url = answer.json()["url"]
        while client.get(url).json()["status"] == "queued":
            time.sleep(0.05)
        self.prepared.append(time.monotonic() - started)


class Killer(threading.Thread):
    """Kills processes of the bulk worker, which unpacks: mostly children, sometimes their parent."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.done = threading.Event()
        self.kills = 0

    def run(self) -> None:
        # The first kill comes almost at once: an idle machine unpacks small ZIPs within a pause.
        while self.kills < KILLS and not self.done.wait(PAUSE if self.kills else 0.2):
            processes = self.service.named("--hostname=bulk@")
            if len(processes) < 2:  # the worker is starting
                continue
            victim = processes[0] if self.kills % 4 == 3 else random.choice(processes[1:])
            try:
                victim.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
            self.kills += 1


class RedundantMessages(threading.Thread):
    """Counts messages for which the bulk worker had nothing to do, and follows its log through rotations."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.path = service.data_dir / "logs" / "bulk.log"
        self.done = threading.Event()
        self.count = 0

    def run(self) -> None:
        while not self.done.is_set():
            with self.path.open(errors="replace") as log:
                inode = os.fstat(log.fileno()).st_ino
                while not self.done.wait(1):
                    rotated = self.path.stat().st_ino != inode if self.path.exists() else False
                    self.count += sum(bool(NOTHING_TO_DO.search(line)) for line in log)
                    if rotated:
                        break


@pytest.fixture
def infer_worker(service: Service) -> Iterator[None]:
    """Suspend the infer worker if ``CHAOS_READ=no``."""
    suspended = [] if READ else service.named("--hostname=infer@")
    for process in suspended:
        process.suspend()
    yield
    for process in suspended:
        process.resume()


@contextmanager
def database(service: Service) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{service.data_dir}/db.sqlite3?mode=ro", uri=True)) as connection:
        yield connection


def count(service: Service, query: str) -> int:
    with database(service) as connection:
        return int(connection.execute(query).fetchone()[0])


def wait_for_none(service: Service, query: str, deadline: float) -> None:
    """Wait until a query's count is zero."""
    while left := count(service, query):
        assert time.monotonic() < deadline, f"{left} rows remain: {query}"
        time.sleep(1)


def zip_of_tiny_files(seed: int) -> bytes:
    pictures = [synthetic.xray_jpeg(10 * seed + n, (80, 80)) for n in range(5)]
    return synthetic.zip_of({f"ward/{n:05}.jpg": pictures[n % 5] for n in range(FILES)})


def test_each_file_becomes_one_image_although_workers_are_killed(service: Service, infer_worker: None) -> None:
    contents = [zip_of_tiny_files(seed) for seed in range(ZIPS)]
    with database(service) as connection:  # other tests may have sent ZIPs to this service
        earlier = {archive for (archive,) in connection.execute("SELECT id FROM studies_archive")}
    interactive, killer, redundant = Interactive(service), Killer(service), RedundantMessages(service)
    interactive.start()
    redundant.start()
    started = time.monotonic()
    deadline = started + LIMIT_SECONDS
    with clients.admin(service) as client:

        def send(content: bytes) -> str:
            answer = client.post("/api/v1/studies/", files={"files": ("study.zip", content)})
            assert answer.status_code == 202, answer.text
            return str(answer.json()["url"])

        with ThreadPoolExecutor(ZIPS) as threads:
            studies = list(threads.map(send, contents))
        killer.start()
        wait_for_none(service, "SELECT count(*) FROM studies_archive WHERE state IN ('queued', 'unpacking')", deadline)
        unpacked = time.monotonic() - started
        killer.done.set()
        # The reconciler finds the messages that were lost with their worker, and unpacked images are prepared.
        wait_for_none(service, "SELECT count(*) FROM studies_image WHERE dispatches = 0 OR status = 'queued'", deadline)
        wait_for_none(service, "SELECT count(*) FROM studies_archive WHERE file > ''", deadline)
        prepared = time.monotonic() - started
        for thread in (interactive, redundant):
            thread.done.set()
            thread.join(30)
        for url in studies:
            client.post(f"{url}cancel/")
    with database(service) as connection:
        images = connection.execute("SELECT archive_id, archive_index, file, error_code FROM studies_image").fetchall()
    referenced = {file for _, _, file, _ in images if file}
    unpacked_images = [image for image in images if image[0] and image[0] not in earlier]
    entries = {(archive, index) for archive, index, _, _ in unpacked_images}
    zip_files = {file for _, _, file, _ in unpacked_images if file}
    failed = sum(bool(code) for *_, code in unpacked_images)
    media = service.data_dir / "media"
    # A file that a killed process was writing has a suffix by which the purge finds it.
    files = {str(path.relative_to(media)) for path in media.glob("uploads/*/*") if path.suffix != UNFINISHED}
    print(
        f"\n{ZIPS} ZIPs of {FILES}, {killer.kills} kills: {len(unpacked_images)} rows, {len(zip_files & files)} files, "
        f"{len(files - referenced)} orphans, {len(referenced - files)} missing, {failed} failed, "
        f"{redundant.count} redundant messages; unpacked after {unpacked:.0f} s, prepared after {prepared:.0f} s"
    )
    for event, seconds in (("answered", interactive.answered), ("prepared", interactive.prepared)):
        print(
            f"{len(seconds)} interactive uploads {event} within {statistics.median(seconds):.2f} s (median), "
            f"{max(seconds):.2f} s (longest)"
        )
    assert interactive.error is None
    assert killer.kills
    assert (len(unpacked_images), len(entries), failed) == (ZIPS * FILES, ZIPS * FILES, 0)
    assert len(zip_files) == ZIPS * FILES
    assert files == referenced, "a file for each row, and a row for each file"
    assert not list(media.glob("archives/*/*")), "the ZIPs are deleted"
    # A killed process may have sent messages, or done work, that it could not record any more.
    assert redundant.count <= killer.kills * 55
    assert max(interactive.answered) < ANSWER_SECONDS
