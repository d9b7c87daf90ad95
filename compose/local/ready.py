"""Wait until the service is ready, and report which program prevents that."""

import http.client
import json
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from compose.local import programs
from compose.local.config import Config

POLL_SECONDS = 0.5
REMIND_SECONDS = 30.0
#: A program that has ended so often before the service was ready once will not make it ready.
MOST_FAILURES = 3
#: supervisord's line about a program that ended by itself.
_ENDED = re.compile(r"exited: (\w+) \((.*); not expected\)")

#: supervisord's lines about a program that it has started, and that is over.
_SPAWNED = re.compile(r"spawned: '(\w+)' with pid (\d+)")
_OVER = re.compile(r"(?:exited|stopped): (\w+) \(")

# The address is this machine's own: no proxy of the environment is asked, and the hospital's certificate, which has
# other names than this one, need not be proved.
_context = ssl.create_default_context()
_context.check_hostname = False
_context.verify_mode = ssl.CERT_NONE
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_context))


def probe(url: str) -> str | None:
    """None when `url` answers 200, else why not."""
    try:
        with _opener.open(url, timeout=5):
            return None
    except urllib.error.HTTPError as error:
        return _missing(error.read(1000).decode(errors="replace").strip())
    except (OSError, http.client.HTTPException) as error:
        return str(error)


def _missing(answer: str) -> str:
    """The parts that /readyz reports as missing, or the whole answer if it has another format."""
    try:
        return "waiting for " + ", ".join(name for name, there in json.loads(answer)["parts"].items() if not there)
    except (ValueError, KeyError, TypeError):
        return answer


@dataclass
class Programs:
    """The state of the programs, from supervisord's log.

    Attributes:
        config: the installation.
        print_line: prints a line.
        ready: whether the service was ready once.
        failed: the program that ended too often to go on, if one did.
        pids: the process ids of programs, by their names.
    """

    config: Config
    print_line: Callable[[str], None]
    ready: bool = False
    failed: str = ""
    pids: dict[str, int] = field(default_factory=dict)
    _ends: Counter[str] = field(default_factory=Counter)
    _reminded: dict[str, float] = field(default_factory=dict)

    def follow(self, line: str) -> None:
        """Read from a line of supervisord's log which process a program is."""
        if found := _SPAWNED.search(line):
            self.pids[found[1]] = int(found[2])
        elif found := _OVER.search(line):
            self.pids.pop(found[1], None)

    def note(self, line: str) -> None:
        """Read a line of supervisord's log, and report that a program ended, at most once a minute."""
        if not (found := _ENDED.search(line)):
            return
        name, how = found.groups()
        self._ends[name] += 1
        if not self.ready and self._ends[name] >= MOST_FAILURES:
            self.failed = name
        elif time.monotonic() - self._reminded.get(name, -60) >= 60:
            self._reminded[name] = time.monotonic()
            self.print_line(
                f"{name} ended ({how}) and is started again; its log is {programs.log_path(self.config, name)}"
            )

    def last_lines(self, count: int = 5) -> str:
        """The last lines of the failed program's log."""
        try:
            text = programs.log_path(self.config, self.failed).read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(f"  {line}" for line in text.splitlines()[-count:])


def wait(url: str, print_line: Callable[[str], None], stopped: Callable[[], bool] = lambda: False) -> bool:
    """Return when `url` answers 200 (True) or everything has stopped (False); print now and then what is missing."""
    remind = time.monotonic() + REMIND_SECONDS
    while not stopped():
        if (reason := probe(url)) is None:
            return True
        if time.monotonic() > remind:
            print_line(f"not ready yet: {reason}")
            remind = time.monotonic() + REMIND_SECONDS
        time.sleep(POLL_SECONDS)
    return False


def notify(state: str) -> None:
    """Tell systemd of the service's state, where systemd has started it."""
    if not (address := os.environ.get("NOTIFY_SOCKET")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        systemd.sendall(state.encode())
