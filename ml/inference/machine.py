"""The processors and the GPU of this machine."""

import math
import os
import platform
import re
from pathlib import Path

#: Vector instructions, the widest first. The widest that a processor has decide which engine is the fastest.
_INSTRUCTIONS = {"amx_tile": "AMX", "avx512f": "AVX-512", "avx2": "AVX2", "asimd": "Neon"}
#: The files with a container's quota and period of processor time: version 2 of cgroups has both in one, version 1 not.
_LIMITS = [["/sys/fs/cgroup/cpu.max"], [f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us" for name in ("quota", "period")]]


def processor() -> str:
    """The processor's name and its widest vector instructions, such as ``AMD EPYC (AVX2)``."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flag_line = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.MULTILINE)
    flags = flag_line.group(1).split() if flag_line else []
    widest = next((name for flag, name in _INSTRUCTIONS.items() if flag in flags), platform.machine())
    return f"{model.group(1).strip()[:60] if model else platform.machine()} ({widest})"


def cores() -> int:
    """The number of processors that this process may use, by its CPU affinity and its container's limit."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in _LIMITS:
        try:
            quota, period = (int(number) for file in files for number in Path(file).read_text().split())
        except (OSError, ValueError):  # no cgroup of this version, or no limit ("max")
            continue
        if quota > 0:  # -1 means no limit
            allowed = min(allowed, math.ceil(quota / period))
    return allowed


def has_integers() -> bool:
    """Whether the processor has instructions for 8-bit integer products: VNNI or AMX."""
    try:
        return bool(re.search(r"\b(avx512_vnni|avx_vnni|amx_int8)\b", Path("/proc/cpuinfo").read_text()))
    except OSError:
        return False


def has_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU is loaded."""
    return Path("/dev/nvidiactl").exists()
