"""Measure time, processor time and, if the machine reports it, energy."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

#: The energy counters of the processor packages (RAPL of Intel and AMD, through Linux).
COUNTERS = Path("/sys/class/powercap")


class Cost:
    """Measures from its construction on.

    Args:
        file: the file that :meth:`keep` writes the cost to. If it exists, an interrupted run's cost is read from it.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._before: dict[str, Any] = json.loads(file.read_text()) if file and file.exists() else {}
        self._began, self._processor, self._energy = time.monotonic(), _processor_seconds(), _joules()

    def so_far(self) -> dict[str, Any]:
        """Seconds, processor seconds of this process and its children, and the machine; includes interrupted runs.

        ``kilojoules`` (of everything that ran on the processor package) is None if the machine does not measure it.
        """
        after = _joules()
        energy = None
        if self._energy and after and all(after[name] >= value for name, value in self._energy.items()):
            energy = round(sum(after[name] - value for name, value in self._energy.items()) / 1000, 1)
        spent = {
            "seconds": round(time.monotonic() - self._began),
            "processor_seconds": round(_processor_seconds() - self._processor),
            "kilojoules": energy,
        }
        if self._before:
            # If one part is unknown, the total is unknown.
            spent = {
                key: None if value is None or self._before[key] is None else round(self._before[key] + value, 1)
                for key, value in spent.items()
            }
        return {**spent, "machine": f"{os.cpu_count()} processors, {_model()}"}

    def keep(self) -> dict[str, Any]:
        """Write the cost so far to the file, for a run that continues later, and return it."""
        spent = self.so_far()
        if self._file:
            self._file.write_text(json.dumps(spent) + "\n")
        return spent


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
