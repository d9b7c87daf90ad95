"""Stop a run: in order at the first signal, at once at a second Ctrl-C."""

import contextlib
import os
import signal
import subprocess
import threading
import time

from compose.local import ready

IN_ORDER = (
    "stopping: images that are being read are finished first, and those that wait are kept (Ctrl-C again: at once)"
)
AT_ONCE = "stopping at once: what was being read is read again after the next start"
#: Seconds in which a second SIGINT is the same key press, passed on by a wrapper such as sudo.
SAME_PRESS = 1.0


class Stopping:
    """Stops supervisord at SIGINT, SIGTERM and SIGHUP.

    Attributes:
        begun: set at the first signal, and when a failed program ends the run.
    """

    def __init__(self, supervisord: subprocess.Popen[str], watched: ready.Programs) -> None:
        self.supervisord, self.watched = supervisord, watched
        self.begun = threading.Event()
        self._since = 0.0

    def listen(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, _: object) -> None:
        if not self.begun.is_set():
            self._since = time.monotonic()
            ready.notify("STOPPING=1")
            self.watched.print_line(IN_ORDER)
            self.in_order()
        elif number == signal.SIGINT and time.monotonic() - self._since > SAME_PRESS:
            self.watched.print_line(AT_ONCE)
            for pid in list(self.watched.pids.values()):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)  # supervisord gives each program its own process group

    def in_order(self) -> None:
        self.begun.set()
        self.supervisord.terminate()
