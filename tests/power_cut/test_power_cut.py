"""Whenever the power is cut, everything that was promised to a client is there afterwards.

``POWER_CUTS`` is the number of points at which the power is cut, 60 by default.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.power_cut import recorder, service
from tests.power_cut.disk import Disk
from tests.power_cut.recorder import Operation

ROOT = Path(__file__).resolve().parents[2]
CUTS = int(os.environ.get("POWER_CUTS", "60"))

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed"),
]


# --- the simulator --------------------------------------------------------------------------------------------------

PROGRAM = """
import os
promises = os.open(os.environ["PROMISES"], os.O_WRONLY)
folder = os.environ["FOLDER"]
def new(sync, at=folder):
    f = os.open(at + "/new", os.O_CREAT | os.O_WRONLY)
    os.write(f, b"content")
    if sync: os.fsync(f)
def names(at=folder): os.fsync(os.open(at, os.O_RDONLY))
def replace(): os.rename(folder + "/new", folder + "/old")
{program}
os.write(promises, b"done")
"""
OLD = {"old": b"as it was"}


@pytest.mark.parametrize(
    ("program", "synced_only", "names_only"),
    [
        ("new(sync=False)", OLD, {**OLD, "new": b""}),
        ("new(sync=True)", OLD, {**OLD, "new": b"content"}),
        ("new(sync=False); names()", {**OLD, "new": b""}, {**OLD, "new": b""}),
        ("new(sync=True); names()", {**OLD, "new": b"content"}, {**OLD, "new": b"content"}),
        ("open(folder + '/old', 'wb').write(b'other')", OLD, OLD),
        ("os.unlink(folder + '/old')", OLD, {}),
        ("os.unlink(folder + '/old'); names()", {}, {}),
        ("new(sync=True); replace()", OLD, {"old": b"content"}),
        ("new(sync=False); replace()", OLD, {"old": b""}),
        ("new(sync=True); replace(); names()", {"old": b"content"}, {"old": b"content"}),
        (
            "new(sync=True); os.link(folder + '/new', folder + '/two')",
            OLD,
            {**OLD, "new": b"content", "two": b"content"},
        ),
        ("sub = folder + '/sub'; os.mkdir(sub); new(True, sub); names(sub)", OLD, {**OLD, "sub/new": b"content"}),
    ],
)
def test_the_simulator_loses_unsynced_changes(
    program: str, synced_only: dict[str, bytes], names_only: dict[str, bytes], tmp_path: Path
) -> None:
    folder, promises = tmp_path / "folder", tmp_path / "promises"
    folder.mkdir()
    (folder / "old").write_bytes(OLD["old"])
    promises.touch()
    disk = Disk(folder)
    environment = {**os.environ, "PROMISES": str(promises), "FOLDER": str(folder)}
    command = [sys.executable, "-c", PROGRAM.replace("{program}", program)]
    operations = recorder.record(command, folder, promises, environment, tmp_path / "log")
    for operation in operations:
        disk.apply(operation)
    assert operations[-1] == Operation("promise", Path(), b"done")
    assert {str(path): content for path, content in disk.synced_only().items()} == synced_only
    assert {str(path): content for path, content in disk.names_only().items()} == names_only


# --- the service ----------------------------------------------------------------------------------------------------


@dataclass
class Recording:
    """What the service did to its DATA_DIR.

    Attributes:
        before: a copy of the DATA_DIR at the beginning.
        environment: the environment variables of its processes.
    """

    before: Path
    data_dir: Path
    environment: dict[str, str]
    operations: list[Operation] = field(repr=False)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("recorded")
    data_dir = folder / "data"
    for name in ("media", "incoming"):
        (data_dir / name).mkdir(parents=True)
    environment = service.prepare(data_dir)
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
    shutil.copytree(data_dir, folder / "before")
    promises = folder / "promises"
    promises.touch()
    command = [sys.executable, "-m", "tests.power_cut.service", "web", str(promises)]
    operations = recorder.record(command, data_dir, promises, environment, folder / "log")
    return Recording(folder / "before", data_dir, environment, operations)


@pytest.mark.chaos
def test_promises_are_kept_after_power_cuts(recording: Recording, tmp_path: Path) -> None:
    kinds = [promise["kind"] for promise in promised(recording.operations)]
    assert kinds.count("image") == 5
    assert kinds.count("part") == 2
    assert kinds.count("study") == 3
    assert kinds.count("result") == 2
    cuts = list(each_cut(recording))
    failures = check(cuts, tmp_path)
    positions = len({position for position, _, _, _ in cuts})
    lost = len({failure.split(":")[0] for failure in failures})
    print(f"\n{positions} of {len(recording.operations)} points, {len(cuts)} disks, {lost} of them with losses")
    assert positions >= min(CUTS, len(recording.operations))
    assert not failures, "\n".join(failures[:20])


def promised(operations: list[Operation]) -> list[dict[str, Any]]:
    return [json.loads(operation.data) for operation in operations if operation.kind == "promise"]


def each_cut(recording: Recording) -> Iterator[tuple[int, str, dict[Path, bytes], list[dict[str, Any]]]]:
    """Power cuts: the operations before each, what the disk keeps, its files, and the promises made by then."""
    operations = recording.operations
    disk = Disk(recording.before, recording.data_dir)
    rng = random.Random(1)
    # Most can go wrong right after a promise and around each deletion.
    risky = {position + step for position, operation in enumerate(operations, 1) for step in (0, 1)
             if operation.kind in ("promise", "unlink")}.intersection(range(1, len(operations) + 1))  # fmt: skip
    others = [position for position in range(1, len(operations) + 1) if position not in risky]
    chosen = risky | set(rng.sample(others, min(len(others), max(0, CUTS - len(risky)))))
    for position, operation in enumerate(operations, 1):
        disk.apply(operation)
        if position in chosen:
            promises = promised(operations[:position])
            yield position, "synced only", disk.synced_only(), promises
            yield position, "names only", disk.names_only(), promises
            yield position, "some unsynced", disk.some_unsynced(rng), promises


def check(cuts: list[tuple[int, str, dict[Path, bytes], list[dict[str, Any]]]], folder: Path) -> list[str]:
    """Start the service on the files that each cut left, and return what is missing. Equal disks are checked once."""
    cuts_file, failures_file = folder / "cuts.jsonl", folder / "failures.json"
    seen = set()
    with cuts_file.open("w") as lines:
        for position, kept, files, promises in cuts:
            key = sha256(repr((sorted(files.items()), promises)).encode()).digest()
            if key not in seen:
                seen.add(key)
                contents = {str(path): content.hex() for path, content in files.items()}
                lines.write(json.dumps([f"after operation {position}, {kept}", contents, promises]) + "\n")
    # In memory, where a sync costs nothing: no power is cut during the check.
    memory = Path("/dev/shm")
    data_dir = (memory if memory.is_dir() else folder) / f"power-cut-{os.getpid()}"
    try:
        command = [sys.executable, "-m", "tests.power_cut.recovery", str(cuts_file), str(failures_file)]
        subprocess.run(command, cwd=ROOT, env=service.prepare(data_dir), check=True)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    failures: list[str] = json.loads(failures_file.read_text())
    return failures
