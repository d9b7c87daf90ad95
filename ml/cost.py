"""What a piece of work costs: time, processor time, and energy where the machine can tell."""

import os
import platform
import time
from pathlib import Path
from typing import Any

#: The processor packages' energy counters (Intel's and AMD's RAPL, through Linux).
COUNTERS = Path("/sys/class/powercap")


class Cost:
    """Measures from its making on."""

    def __init__(self) -> None:
        self._began, self._processor, self._energy = time.monotonic(), _processor_seconds(), _joules()

    def so_far(self) -> dict[str, Any]:
        """Seconds, processor seconds of this process and its children, and the machine.

        ``kilojoules`` (of all that ran on the processor's package) is None where the machine does not tell.
        """
        after = _joules()
        energy = None
        if self._energy and after and all(after[name] >= value for name, value in self._energy.items()):
            energy = round(sum(after[name] - value for name, value in self._energy.items()) / 1000, 1)
        return {
            "seconds": round(time.monotonic() - self._began),
            "processor_seconds": round(_processor_seconds() - self._processor),
            "kilojoules": energy,
            "machine": f"{os.cpu_count()} processors, {_model()}",
        }


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _joules() -> dict[str, float]:
    try:
        return {folder.name: int((folder / "energy_uj").read_text()) / 1e6 for folder in COUNTERS.glob("intel-rapl:?")}
    except OSError:
        return {}


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
