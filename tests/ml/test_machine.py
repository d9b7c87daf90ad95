"""The number of threads follows the processors that this process may use."""

import os
from pathlib import Path

import pytest

from ml.inference import machine

V2, V1 = "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_{}_us"


def test_the_processor_has_a_name_and_a_number_of_cores() -> None:
    assert machine.processor()
    assert machine.cores() >= 1


@pytest.mark.parametrize(
    ("files", "cores"),
    [({}, 8), ({V2: "max 100000\n"}, 8), ({V2: "50000 100000\n"}, 1), ({V2: "250000 100000\n"}, 3),
     ({V2: "1600000 100000\n"}, 8), ({V1.format("quota"): "-1\n", V1.format("period"): "100000\n"}, 8),
     ({V1.format("quota"): "50000\n", V1.format("period"): "100000\n"}, 1),
     ({V1.format("quota"): "200000\n", V1.format("period"): "100000\n"}, 2)],
)  # fmt: skip
def test_a_containers_limit_is_kept(monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int) -> None:
    def read_text(path: Path) -> str:
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(Path, "read_text", read_text)
    assert machine.cores() == cores
