"""What all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import Service, running

#: The data set, which is not in the repository; tests that need it skip without it.
DATA = Path(os.environ.get("XRAY_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The whole service, with a real Redis, real workers and the released bundle; one for the whole run."""
    with running(
        tmp_path_factory.mktemp("service"),
        # Guests are many here and come from one address.
        GUEST_RATE="100000/min",
        LOGIN_RATE="100000/min",
        LOG_FORMAT="json",
    ) as started:
        yield started


@pytest.fixture(scope="session")
def originals() -> list[Path]:
    """Real X-rays at full resolution, where the data set is at hand."""
    files = sorted(DATA.glob("originals/*/*.jpeg"))
    if not files:
        pytest.skip("the data set's originals are not on this machine")
    return files
