"""What all tests share."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests import guard
from tests.service import Service, running

#: The data set, which is not in the repository; tests that need it skip without it.
DATA = Path(os.environ.get("XRAY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
NO_DATA = f"{DATA} has no X-rays at full resolution; XRAY_DATA names the folder with originals/ and the data set's TARs"
#: Kinds of tests that only run when asked for, and what runs them.
SLOW = {
    "chaos": "make test-slow",
    "long": "make test-slow",
    "training": "make test-slow",
    "maintenance": "make test-slow",
    "fuzz": "make test-slow",
    "benchmark": "make bench",
    "docker": "make test-slow",
    "matrix": "make test-matrix",
}
#: The files with tests of the whole service.
SERVICE = ("tests/integration/", "tests/browser/", "tests/client/test_service.py")
_left_out: Counter[str] = Counter()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # once, not in each process of pytest-xdist
        guard.start()


class Files(LoadFileScheduling):
    """Gives each process whole files, and one process all those of the whole service, which then starts once."""

    def _split_scope(self, nodeid: str) -> str:
        return "service" if nodeid.startswith(SERVICE) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Files:
    return Files(config, log)


@pytest.hookimpl(trylast=True)  # after pytest-randomly
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of the whole service first, since they take longest; and those that empty the tables last, since
    they take away what migrations wrote as well.
    """
    last = {item.path for item in items if (mark := item.get_closest_marker("django_db")) and mark.kwargs}
    items.sort(key=lambda item: (item.get_closest_marker("integration") is None, item.path in last))


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        _left_out.update([next((kind for kind in SLOW if item.get_closest_marker(kind)), "")])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if left := ", ".join(f"{_left_out[kind]} {kind} ({command})" for kind, command in SLOW.items() if _left_out[kind]):
        terminalreporter.write_line(f"Left to `make test-all`: {left}")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The whole service, with a real Redis, real workers and the released bundle; one for the whole run."""
    folder = tmp_path_factory.mktemp("service")
    with running(
        folder,
        REGISTRATION="open",
        EMAIL_URL=f"filemail:///{folder / 'mail'}",
        # Guests are many here and come from one address.
        GUEST_RATE="100000/min",
        LOGIN_RATE="100000/min",
        LOG_FORMAT="json",
        # Receivers of webhooks listen on the loopback address.
        WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
    ) as started:
        yield started


@pytest.fixture(scope="session")
def originals() -> list[Path]:
    """Real X-rays at full resolution, if the data set is available."""
    files = sorted(DATA.glob("originals/*/*.jpeg"))
    if not files:
        pytest.skip(NO_DATA)
    return files
