"""Many ZIPs at once while the workers that unpack them are killed: every file becomes one image, once.

The sizes come from the environment. The full proof, which takes half an hour on two processors, is::

    export GIVE_WAY_SECONDS=0
    CHAOS_ZIPS=10 CHAOS_FILES=5000 CHAOS_READ=no python -m pytest -s -m chaos tests/chaos/test_archives.py

``CHAOS_READ=no`` holds the infer worker still: nothing is read, and all time goes to unpacking and preparing. Preparing
must not wait for reading then (``GIVE_WAY_SECONDS``).
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
#: What Celery logs of a message whose image another message has had prepared.
NOTHING_TO_DO = re.compile(r"worker\.ingest\[.*'(nothing to do|overtaken)'")
#: Seconds between two kills.
PAUSE = 4.0
#: The longest acceptable wait for an interactive upload.
ANSWER_SECONDS = float(os.environ.get("CHAOS_ANSWER_SECONDS", "2"))
#: Every lost claim costs its lease; an image takes some hundredths of a second.
LIMIT_SECONDS = 300 + 80 * ZIPS + 0.1 * ZIPS * FILES


class Interactive(threading.Thread):
    """Someone who uploads an image every second, and waits for each until it is prepared."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.done = threading.Event()
        self.answered: list[float] = []
        self.prepared: list[float] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with clients.admin(self.service) as by:
                while not self.done.wait(1):
                    self.upload(by)
        except Exception as error:
            self.error = error

    def upload(self, by: Any) -> None:
        started = time.monotonic()
        answer = clients.upload(by, synthetic.xray_jpeg(len(self.answered) % 7))
        assert answer.status_code == 202, answer.text
        self.answered.append(time.monotonic() - started)
        url = answer.json()["url"]
        while by.get(url).json()["status"] == "queued":
            time.sleep(0.05)
        self.prepared.append(time.monotonic() - started)


class Killer(threading.Thread):
    """Kills processes of the worker that unpacks, children and sometimes their parent."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.service = service
        self.done = threading.Event()
        self.kills = 0

    def run(self) -> None:
        # The first comes at once: a quiet machine unpacks small ZIPs before a pause is over.
        while self.kills < KILLS and not self.done.wait(PAUSE if self.kills else 0.2):
            processes = self.service.named("--hostname=bulk@")
            if len(processes) < 2:  # it is being started
                continue
            victim = processes[0] if self.kills % 4 == 3 else random.choice(processes[1:])
            try:
                victim.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
            self.kills += 1


class InVain(threading.Thread):
    """Counts messages of the bulk worker that found nothing to do, while its log is written and rotated."""

    def __init__(self, service: Service) -> None:
        super().__init__(daemon=True)
        self.path = service.data_dir / "logs" / "bulk.log"
        self.done = threading.Event()
        self.count = 0

    def run(self) -> None:
        while not self.done.is_set():
            with self.path.open(errors="replace") as log:
                same = os.fstat(log.fileno()).st_ino
                while not self.done.wait(1):
                    rotated = self.path.stat().st_ino != same if self.path.exists() else False
                    self.count += sum(bool(NOTHING_TO_DO.search(line)) for line in log)
                    if rotated:
                        break


@pytest.fixture
def reading(service: Service) -> Iterator[None]:
    """Whether the infer worker works."""
    held = [] if READ else service.named("--hostname=infer@")
    for process in held:
        process.suspend()
    yield
    for process in held:
        process.resume()


@contextmanager
def database(service: Service) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{service.data_dir}/db.sqlite3?mode=ro", uri=True)) as connection:
        yield connection


def number(service: Service, query: str) -> int:
    with database(service) as connection:
        return int(connection.execute(query).fetchone()[0])


def wait_for_none(service: Service, query: str, deadline: float) -> None:
    """Wait until a query counts nothing."""
    while left := number(service, query):
        assert time.monotonic() < deadline, f"{left} are left of: {query}"
        time.sleep(1)


def zip_of_tiny_files(seed: int) -> bytes:
    pictures = [synthetic.xray_jpeg(10 * seed + n, (80, 80)) for n in range(5)]
    return synthetic.zip_of({f"ward/{n:05}.jpg": pictures[n % 5] for n in range(FILES)})


def test_many_zips_at_once_while_their_workers_are_killed(service: Service, reading: None) -> None:
    contents = [zip_of_tiny_files(seed) for seed in range(ZIPS)]
    with database(service) as connection:  # other tests may have sent ZIPs to this service
        earlier = {archive for (archive,) in connection.execute("SELECT id FROM studies_archive")}
    interactive, killer, in_vain = Interactive(service), Killer(service), InVain(service)
    interactive.start()
    in_vain.start()
    started = time.monotonic()
    deadline = started + LIMIT_SECONDS
    with clients.admin(service) as by:

        def send(content: bytes) -> str:
            answer = by.post("/api/v1/studies/", files={"files": ("study.zip", content)})
            assert answer.status_code == 202, answer.text
            return str(answer.json()["url"])

        with ThreadPoolExecutor(ZIPS) as together:
            studies = list(together.map(send, contents))
        killer.start()
        wait_for_none(service, "SELECT count(*) FROM studies_archive WHERE state IN ('queued', 'unpacking')", deadline)
        unpacked = time.monotonic() - started
        killer.done.set()
        # Messages that died with their worker are found, and what was unpacked is prepared.
        wait_for_none(service, "SELECT count(*) FROM studies_image WHERE dispatches = 0 OR status = 'queued'", deadline)
        wait_for_none(service, "SELECT count(*) FROM studies_archive WHERE file > ''", deadline)
        prepared = time.monotonic() - started
        for thread in (interactive, in_vain):
            thread.done.set()
            thread.join(30)
        for url in studies:
            by.post(f"{url}cancel/")
    with database(service) as connection:
        images = connection.execute("SELECT archive_id, archive_index, file, error_code FROM studies_image").fetchall()
    named = {file for _, _, file, _ in images if file}
    made = [image for image in images if image[0] and image[0] not in earlier]
    entries = {(archive, index) for archive, index, _, _ in made}
    zip_files = {file for _, _, file, _ in made if file}
    failed = sum(bool(code) for *_, code in made)
    media = service.data_dir / "media"
    # What a process was writing when it was killed has another name, under which the purge finds it.
    files = {str(path.relative_to(media)) for path in media.glob("uploads/*/*") if path.suffix != UNFINISHED}
    print(
        f"\n{ZIPS} ZIPs of {FILES}, {killer.kills} kills: {len(made)} rows, {len(zip_files & files)} files, "
        f"{len(files - named)} orphans, {len(named - files)} missing, {failed} failed, "
        f"{in_vain.count} messages in vain; unpacked after {unpacked:.0f} s, prepared after {prepared:.0f} s"
    )
    for what, seconds in (("answered", interactive.answered), ("prepared", interactive.prepared)):
        print(
            f"{len(seconds)} interactive uploads {what} within {statistics.median(seconds):.2f} s (median), "
            f"{max(seconds):.2f} s (longest)"
        )
    assert interactive.error is None
    assert killer.kills
    assert (len(made), len(entries), failed) == (ZIPS * FILES, ZIPS * FILES, 0)
    assert len(zip_files) == ZIPS * FILES
    assert files == named, "a file for each row, and a row for each file"
    assert not list(media.glob("archives/*/*")), "the ZIPs are deleted"
    # A killed process may have sent, or done, what it could not note any more.
    assert in_vain.count <= killer.kills * 55
    assert max(interactive.answered) < ANSWER_SECONDS
