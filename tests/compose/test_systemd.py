"""The systemd unit that runs the service on one machine."""

import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from compose.local import programs
from compose.local.config import Config
from compose.local.run import SENTENCE
from tests.service import ROOT

UNIT = ROOT / "compose" / "systemd" / "pneumoqueue.service"


@pytest.fixture
def service() -> dict[str, str]:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # keeps capitals
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_every_line(tmp_path: Path) -> None:
    installed = UNIT.read_text().replace("/opt/pneumoqueue/.venv/bin/python", sys.executable)
    unit = tmp_path / "pneumoqueue.service"
    unit.write_text(installed.replace("/opt/pneumoqueue", str(ROOT)))
    completed = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (completed.returncode, completed.stderr) == (0, "")


def test_the_unit_starts_the_same_program_as_make_run(service: dict[str, str]) -> None:
    assert service["ExecStart"].endswith("/.venv/bin/python -m compose.local.run")
    assert "exec $(BIN)/python -m compose.local.run" in (ROOT / "Makefile").read_text()
    assert service["ExecStart"].startswith(service["WorkingDirectory"])


def test_the_time_to_stop_is_enough_for_all_programs(service: dict[str, str], tmp_path: Path) -> None:
    all_programs = programs.programs(Config(data_dir=tmp_path, port=1, flower_port=2), Path("redis-server"))
    assert int(service["TimeoutStopSec"]) > sum(program.stop_seconds for program in all_programs)
    assert service["KillMode"] == "mixed"  # only the launcher gets the signal first, and stops the others in order


def test_a_start_with_a_wrong_setting_is_not_repeated(service: dict[str, str]) -> None:
    assert service["RestartPreventExitStatus"] == str(SENTENCE)
    assert service["Type"] == "notify"
