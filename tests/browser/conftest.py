"""A headless Chromium."""

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

#: Mozilla's library that drives Firefox is installed on Linux on x86-64 only.
collect_ignore = [] if find_spec("marionette_driver") else ["test_firefox.py"]
#: A line without any room.
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
    """A fresh browser session, in the size of a desk and of a phone."""
    width, height = request.param
    made = browser.new_context(viewport={"width": width, "height": height}, service_workers="block")
    made.set_default_timeout(60_000)
    yield made
    made.close()


def is_broken(message: ConsoleMessage) -> bool:
    """Whether a message is an error of the page, not Chromium's note of an answer such as 404."""
    return message.type == "error" and not message.text.startswith("Failed to load resource: the server responded")


def watched(page: Page, broken: list[str]) -> Page:
    """A page that notes whether a script or style of it threw, broke the security policy or wrote an error."""
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.on("console", lambda message: broken.append(message.text) if is_broken(message) else None)
    return page


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails the test if something of it broke, see :func:`watched`."""
    broken: list[str] = []
    yield watched(context.new_page(), broken)
    assert not broken


@pytest.fixture
def someone(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Opens a page in a browser session of its own, as a further person does; it is watched as ``page`` is."""
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
    """Drop files, folders or, as ``items``, other things on the page, as the mouse does."""

    def act(*paths: Path, items: list[dict[str, str]] | None = None) -> None:
        box = page.locator("#upload").bounding_box()
        assert box
        data = {"items": items or [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        place: dict[str, Any] = {"x": box["x"] + 20, "y": box["y"] + 20, "data": data}
        for kind in ("dragEnter", "dragOver", "drop"):
            devtools.send("Input.dispatchDragEvent", {"type": kind, **place})

    return act


@pytest.fixture
def line(devtools: CDPSession) -> Callable[[int], None]:
    """Give the page a line with this much room for uploads, in bytes a second."""

    def to(upload: int) -> None:
        conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": upload or -1}
        devtools.send("Network.emulateNetworkConditions", {"offline": upload == LOST, **conditions})

    return to


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with X-rays ``0.jpeg`` to ``3.jpeg``, ``notes.jpg`` that is a text, and ``ward.zip``."""
    folder = tmp_path_factory.mktemp("uploads")
    for seed in range(4):
        (folder / f"{seed}.jpeg").write_bytes(synthetic.xray_jpeg(seed, (1300, 1100)))
    (folder / "notes.jpg").write_bytes(synthetic.text())
    packed = {f"ward/{seed}.jpeg": synthetic.xray_jpeg(seed) for seed in range(8)}
    (folder / "ward.zip").write_bytes(synthetic.zip_of(packed))
    return folder


@pytest.fixture
def shot(page: Page):
    """Save a picture of the page in the folder that the variable SCREENSHOTS names, if it does."""

    def save(name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            width = page.viewport_size["width"] if page.viewport_size else 0
            page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)

    return save
