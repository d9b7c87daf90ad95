"""Wait until the service is ready, and say so, or say which program keeps it from being ready."""

import http.client
import json
import re
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
#: What supervisord says of a program that ended by itself.
_ENDED = re.compile(r"exited: (\w+) \((.*); not expected\)")

# The address is this machine's own: no proxy of the environment is asked.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


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
    """The parts that /readyz says are missing, in words; the answer itself where it is another."""
    try:
        return "waiting for " + ", ".join(name for name, there in json.loads(answer)["parts"].items() if not there)
    except (ValueError, KeyError, TypeError):
        return answer


@dataclass
class Programs:
    """How the programs do, by what supervisord says of them.

    Attributes:
        config: the installation.
        say: prints a line.
        ready: whether the service was ready once.
        failed: the program that ended too often to go on, if one did.
    """

    config: Config
    say: Callable[[str], None]
    ready: bool = False
    failed: str = ""
    _ends: Counter[str] = field(default_factory=Counter)
    _reminded: dict[str, float] = field(default_factory=dict)

    def note(self, line: str) -> None:
        """Take note of a line of supervisord's log, and say that a program ended: once a minute, however often."""
        if not (found := _ENDED.search(line)):
            return
        name, how = found.groups()
        self._ends[name] += 1
        if not self.ready and self._ends[name] >= MOST_FAILURES:
            self.failed = name
        elif time.monotonic() - self._reminded.get(name, -60) >= 60:
            self._reminded[name] = time.monotonic()
            self.say(f"{name} ended ({how}) and is started again; its log is {programs.log_path(self.config, name)}")

    def last_lines(self, count: int = 5) -> str:
        """What the program that failed wrote last."""
        try:
            text = programs.log_path(self.config, self.failed).read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(f"  {line}" for line in text.splitlines()[-count:])


def wait(url: str, say: Callable[[str], None], stopped: Callable[[], bool] = lambda: False) -> bool:
    """Return when `url` answers 200 (True) or all has stopped (False); say now and then what is missing."""
    remind = time.monotonic() + REMIND_SECONDS
    while not stopped():
        if (reason := probe(url)) is None:
            return True
        if time.monotonic() > remind:
            say(f"not ready yet: {reason}")
            remind = time.monotonic() + REMIND_SECONDS
        time.sleep(POLL_SECONDS)
    return False
