"""The power goes off at any moment; what was promised to a client is there when it is back.

``POWER_CUTS=1000`` cuts at so many points instead of some.
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
    ("program", "nothing_more", "names_only"),
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
def test_the_simulator_loses_what_was_not_synced(
    program: str, nothing_more: dict[str, bytes], names_only: dict[str, bytes], tmp_path: Path
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
    assert {str(path): content for path, content in disk.nothing_more().items()} == nothing_more
    assert {str(path): content for path, content in disk.names_only().items()} == names_only


# --- the service ----------------------------------------------------------------------------------------------------


@dataclass
class Recording:
    """What the service did to its DATA_DIR.

    Attributes:
        before: the DATA_DIR at the beginning.
        environment: of its processes.
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
def test_what_was_promised_is_there(recording: Recording, tmp_path: Path) -> None:
    kinds = [promise["kind"] for promise in promised(recording.operations)]
    assert kinds.count("image") == 5
    assert kinds.count("part") == 2
    assert kinds.count("study") == 3
    assert kinds.count("result") == 2
    cuts = list(each_cut(recording))
    failures = check(cuts, tmp_path)
    places = len({place for place, _, _, _ in cuts})
    lost = len({failure.split(":")[0] for failure in failures})
    print(f"\n{places} points of {len(recording.operations)}, {len(cuts)} disks, {lost} of them with a loss")
    assert places >= min(CUTS, len(recording.operations))
    assert not failures, "\n".join(failures[:20])


def promised(operations: list[Operation]) -> list[dict[str, Any]]:
    return [json.loads(operation.data) for operation in operations if operation.kind == "promise"]


def each_cut(recording: Recording) -> Iterator[tuple[int, str, dict[Path, bytes], list[dict[str, Any]]]]:
    """Points at which the power goes off: how far the service was, what the disk kept, and what had been promised."""
    operations = recording.operations
    disk = Disk(recording.before, recording.data_dir)
    chance = random.Random(1)
    # Right after a promise and around each change of names is where most can go wrong.
    risky = {place + step for place, one in enumerate(operations, 1) for step in (0, 1)
             if one.kind in ("promise", "unlink")}.intersection(range(1, len(operations) + 1))  # fmt: skip
    others = [place for place in range(1, len(operations) + 1) if place not in risky]
    chosen = risky | set(chance.sample(others, min(len(others), max(0, CUTS - len(risky)))))
    for place, operation in enumerate(operations, 1):
        disk.apply(operation)
        if place in chosen:
            promises = promised(operations[:place])
            yield place, "nothing more", disk.nothing_more(), promises
            yield place, "names only", disk.names_only(), promises
            yield place, "something", disk.something(chance), promises


def check(cuts: list[tuple[int, str, dict[Path, bytes], list[dict[str, Any]]]], folder: Path) -> list[str]:
    """Start the service on what each cut left, and say what is missing. The same disk is looked at once."""
    given, found = folder / "cuts.jsonl", folder / "failures.json"
    seen = set()
    with given.open("w") as lines:
        for place, kept, files, promises in cuts:
            key = sha256(repr((sorted(files.items()), promises)).encode()).digest()
            if key not in seen:
                seen.add(key)
                named = {str(path): content.hex() for path, content in files.items()}
                lines.write(json.dumps([f"after operation {place}, {kept}", named, promises]) + "\n")
    # In memory: nothing is cut there, and a sync costs nothing.
    memory = Path("/dev/shm")
    data_dir = (memory if memory.is_dir() else folder) / f"power-cut-{os.getpid()}"
    try:
        command = [sys.executable, "-m", "tests.power_cut.recovery", str(given), str(found)]
        subprocess.run(command, cwd=ROOT, env=service.prepare(data_dir), check=True)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    failures: list[str] = json.loads(found.read_text())
    return failures
