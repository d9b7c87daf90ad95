"""The memory that a worker reports."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from worker.process import memory


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="it is read from Linux's /proc")
def test_a_worker_counts_its_children() -> None:
    alone = memory.resident()
    assert alone == pytest.approx(psutil.Process(os.getpid()).memory_info().rss, rel=0.2)
    code = "import sys; kept = bytearray(b'x') * 50_000_000; print('made', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdin
        child.stdout.readline()
        assert (memory.resident() or 0) > (alone or 0) + 50_000_000
        child.stdin.close()
