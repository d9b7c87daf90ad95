"""Wait until the service is ready, and report programs that keep it from becoming ready."""

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
#: The start fails if a program ends this often before the service has become ready.
MAX_FAILURES = 3
#: supervisord's log line about a program that ended by itself. No program ends by itself without a fault, even if its
#: exit status is 0, which supervisord calls expected.
_ENDED = re.compile(r"exited: (\w+) \((.*); (?:not )?expected\)")

#: supervisord's log lines about a program that it has started, and about one that is over.
_SPAWNED = re.compile(r"spawned: '(\w+)' with pid (\d+)")
_OVER = re.compile(r"(?:exited|stopped): (\w+) \(")

# The address is this machine's own, so the environment's proxy is not used. The certificate is not verified, because
# the hospital's certificate has other names than this address.
_context = ssl.create_default_context()
_context.check_hostname = False
_context.verify_mode = ssl.CERT_NONE
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=_context))


def probe(url: str) -> str | None:
    """Return None if `url` answers 200, else the reason why it does not."""
    try:
        with _opener.open(url, timeout=5):
            return None
    except urllib.error.HTTPError as error:
        return _missing(error.read(1000).decode(errors="replace").strip())
    except (OSError, http.client.HTTPException) as error:
        return str(error)


def _missing(response: str) -> str:
    """The parts that /readyz reports as missing, or the whole response if it has another format."""
    try:
        return "waiting for " + ", ".join(
            name for name, is_ready in json.loads(response)["parts"].items() if not is_ready
        )
    except (ValueError, KeyError, TypeError):
        return response


@dataclass
class Programs:
    """The state of the programs, taken from supervisord's log.

    Attributes:
        config: the installation.
        print_line: prints a line.
        ready: whether the service has been ready.
        failed: the program that ended too often to continue, or empty.
        pids: the process ids of the programs, by name.
    """

    config: Config
    print_line: Callable[[str], None]
    ready: bool = False
    failed: str = ""
    pids: dict[str, int] = field(default_factory=dict)
    _ends: Counter[str] = field(default_factory=Counter)
    _reminded: dict[str, float] = field(default_factory=dict)

    def follow(self, line: str) -> None:
        """Update the process ids from a line of supervisord's log."""
        if match := _SPAWNED.search(line):
            self.pids[match[1]] = int(match[2])
        elif match := _OVER.search(line):
            self.pids.pop(match[1], None)

    def note(self, line: str) -> None:
        """Report a program that ended, read from a line of supervisord's log, at most once a minute per program."""
        if not (match := _ENDED.search(line)):
            return
        name, how = match.groups()
        self._ends[name] += 1
        if not self.ready and self._ends[name] >= MAX_FAILURES:
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
    """Wait until `url` answers 200 (True) or everything has stopped (False). Now and then print what is missing."""
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
    """Report the service's state to systemd, if systemd has started it."""
    if not (address := os.environ.get("NOTIFY_SOCKET")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        systemd.sendall(state.encode())
