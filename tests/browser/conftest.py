"""Fixtures of the tests in a headless Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    expect,
    sync_playwright,
)

from tests import synthetic

#: Mozilla's library that drives Firefox is installed only on Linux on x86-64.
collect_ignore = [] if find_spec("marionette_driver") else ["test_firefox.py"]
#: The upload speed that stands for a lost connection.
LOST = 0


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, or one that Playwright has installed.

    The tests of this folder run at the end, see ``tests/conftest.py``.
    """
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        started = launched(playwright)
        yield started
        started.close()


def launched(playwright: Playwright) -> Browser:
    try:
        return playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=["--no-sandbox"]
        )
    except Error as error:
        pytest.skip(f"no Chromium that starts: {str(error).splitlines()[0]}")


@pytest.fixture(
    params=[pytest.param((1280, 800), id="1280"), pytest.param((390, 844), id="390", marks=pytest.mark.long)]
)
def context(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    """A new browser session in the size of a desktop screen, and in that of a phone."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, service_workers="block")
    context.set_default_timeout(60_000)
    yield context
    context.close()


def is_broken(message: ConsoleMessage) -> bool:
    """Whether a message is an error of the page, and not Chromium's report of an answer such as 404."""
    return message.type == "error" and not message.text.startswith("Failed to load resource: the server responded")


def watched(page: Page, broken: list[str]) -> Page:
    """Record in `broken` what goes wrong on a page: exceptions, violations of the security policy, logged errors."""
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda message: broken.append(message.text) if is_broken(message) else None)
    return page


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose errors fail the test, see :func:`watched`."""
    broken: list[str] = []
    yield watched(context.new_page(), broken)
    assert not broken


@pytest.fixture
def someone(browser: Browser) -> Iterator[Callable[[], Page]]:
    """A function that opens a page in a new browser session, for another person; its errors fail the test too."""
    broken: list[str] = []
    sessions: list[BrowserContext] = []

    def open_page() -> Page:
        sessions.append(browser.new_context(viewport={"width": 1280, "height": 800}, service_workers="block"))
        sessions[-1].set_default_timeout(60_000)
        return watched(sessions[-1].new_page(), broken)

    yield open_page
    for session in sessions:
        session.close()
    assert not broken


@pytest.fixture
def devtools(page: Page) -> CDPSession:
    return page.context.new_cdp_session(page)


@pytest.fixture
def drop(page: Page, devtools: CDPSession) -> Callable[..., None]:
    """A function that drops files, folders or other things (``items``) on the page, as the mouse does."""

    def drop_on_page(*paths: Path, items: list[dict[str, str]] | None = None) -> None:
        box = page.locator("#upload").bounding_box()
        assert box
        data = {"items": items or [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        place: dict[str, Any] = {"x": box["x"] + 20, "y": box["y"] + 20, "data": data}
        for kind in ("dragEnter", "dragOver", "drop"):
            devtools.send("Input.dispatchDragEvent", {"type": kind, **place})

    return drop_on_page


@pytest.fixture
def throttle(devtools: CDPSession) -> Callable[[int], None]:
    """A function that limits the page's upload speed, in bytes a second."""

    def limit(upload: int) -> None:
        conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": upload or -1}
        devtools.send("Network.emulateNetworkConditions", {"offline": upload == LOST, **conditions})

    return limit


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with X-rays ``0.jpeg`` to ``3.jpeg``, a text named ``notes.jpg``, and ``ward.zip``."""
    folder = tmp_path_factory.mktemp("uploads")
    for seed in range(4):
        (folder / f"{seed}.jpeg").write_bytes(synthetic.xray_jpeg(seed, (1300, 1100)))
    (folder / "notes.jpg").write_bytes(synthetic.text())
    packed = {f"ward/{seed}.jpeg": synthetic.xray_jpeg(seed) for seed in range(8)}
    (folder / "ward.zip").write_bytes(synthetic.zip_of(packed))
    return folder


@pytest.fixture
def shot(page: Page):
    """A function that saves a screenshot in the folder that the variable SCREENSHOTS names, if that is set."""

    def save(name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            width = page.viewport_size["width"] if page.viewport_size else 0
            page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)

    return save
