"""Fixtures and hooks that all tests share."""

import gc
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.signals import post_migrate

from tests import database, guard
from tests.service import Service, running

#: The data set, which is not in the repository. Tests that need it are skipped without it.
DATA = Path(os.environ.get("XRAY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
NO_DATA = f"{DATA} has no X-rays at full resolution; XRAY_DATA names the folder with originals/ and the data set's TARs"
#: Markers of tests that run only on request, and the command that runs them.
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
#: Folder of the tests in a headless Chromium.
BROWSER = Path(__file__).with_name("browser")
_left_out: Counter[str] = Counter()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # once, not in each process of pytest-xdist
        guard.start()


@pytest.hookimpl(trylast=True)  # after pytest-randomly
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files with transactional tests after the others: these tests empty the tables, even of migrations' rows.

    Next come the files that use the whole service, because it takes processor time while it runs. The files that use a
    browser come last: while Playwright runs, its event loop keeps Django from using its own in this thread.
    pytest-xdist keeps this order with ``--no-loadscope-reorder``, see ``pyproject.toml``.
    """
    ranks = {item.path: (item.path.parent == BROWSER, False, False) for item in items}
    for item in items:
        transactional = bool((mark := item.get_closest_marker("django_db")) and mark.kwargs)
        rank = (item.path.parent == BROWSER, bool(item.get_closest_marker("integration")), transactional)
        ranks[item.path] = max(ranks[item.path], rank)
    items.sort(key=lambda item: ranks[item.path])


def pytest_collection_finish() -> None:
    """Exclude all that is imported from garbage collection, and collect less often than every 700 objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Let Django apply no migrations to SQLite; `django_db_setup` copies finished tables."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["MIGRATE"] = False


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Copy the tables, and the rows that migrations write.

    Do not create permissions each time a transactional test has emptied the tables: that takes longer than most tests.
    """
    from django.contrib.contenttypes.models import ContentType  # models can be imported only after the settings

    if connection.vendor == "sqlite":
        with django_db_blocker.unblock():
            database.copy(connection.connection)
        ContentType.objects.clear_cache()
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")


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
        # Tests send many requests of guests, all from one address.
        GUEST_RATE="100000/min",
        LOGIN_RATE="100000/min",
        LOG_FORMAT="json",
        # The tests' receivers of webhooks listen on the loopback address.
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
