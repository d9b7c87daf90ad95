"""What this machine computes with."""

import math
import os
import platform
import re
from pathlib import Path

#: The widest vector instructions of a processor decide which engine is the fastest; the first that it has is named.
_INSTRUCTIONS = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2", "asimd": "Neon"}


def processor() -> str:
    """The processor's name and its widest vector instructions, such as ``AMD EPYC (AVX2)``."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    named = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.MULTILINE)
    known = flags.group(1).split() if flags else []
    widest = next((name for flag, name in _INSTRUCTIONS.items() if flag in known), platform.machine())
    return f"{named.group(1).strip()[:60] if named else platform.machine()} ({widest})"


def cores() -> int:
    """Processors that this process may use: of its affinity, and of its container's limit where that is lower."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(allowed, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such limit, or none that is set
        return allowed


def has_integers() -> bool:
    """Whether the processor has instructions for products of 8-bit integers: VNNI, or AMX."""
    try:
        return bool(re.search(r"\b(avx512_vnni|avx_vnni|amx_int8)\b", Path("/proc/cpuinfo").read_text()))
    except OSError:
        return False


def has_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU is loaded."""
    return Path("/dev/nvidiactl").exists()
