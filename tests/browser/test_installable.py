"""The page without a connection, and the files that the browser caches for it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import watched
from tests.browser.harness import STATIC
from tests.browser.steps import VERDICT
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.long]

#: The paths of all entries in Cache Storage.
CACHED = """async () => {
  const urls = [];
  for (const name of await caches.keys()) {
    for (const request of await (await caches.open(name)).keys()) urls.push(new URL(request.url).pathname);
  }
  return urls.sort();
}"""
CONTROLLED = "async () => { await navigator.serviceWorker.ready; return Boolean(navigator.serviceWorker.controller) }"
#: Whether a condition becomes true within a minute. Playwright's ``wait_for_function`` takes any promise for true.
BECOMES_TRUE = """async () => {
  for (let tries = 0; tries < 600; tries += 1) {
    if (await (%s)()) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}"""


@pytest.fixture
def tablet(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 820, "height": 1180})
    context.set_default_timeout(60_000)
    yield context
    context.close()


def wait_until_controlled(page: Page) -> None:
    assert page.evaluate(BECOMES_TRUE % CONTROLLED)


@pytest.mark.integration
def test_without_a_connection_no_x_ray_is_available(service: Service, tablet: BrowserContext, files: Path) -> None:
    broken: list[str] = []
    page = watched(tablet.new_page(), broken)
    page.goto(service.url)
    wait_until_controlled(page)
    page.set_input_files("#files", files / "0.jpeg")
    page.wait_for_url("**/images/*/")
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    page.reload()  # now served by the service worker
    expect(page.locator(".film img").first).to_be_visible()
    cached = page.evaluate(CACHED)
    assert len(cached) == 4
    assert "/offline/" in cached
    assert not [url for url in cached if url != "/offline/" and not url.startswith("/static/dashboard/")]
    assert broken == []

    result = page.url
    tablet.set_offline(True)
    page.goto(result)
    expect(page.locator("h1")).to_have_text("No connection; nothing was sent")
    assert page.locator("img").count() == 1  # the icon
    assert page.locator(".brand img").evaluate("image => image.naturalWidth > 0")
    assert page.locator(".top").evaluate("top => getComputedStyle(top).display") == "flex", "the style is cached too"
    tablet.set_offline(False)
    page.get_by_role("link", name="Try again").click()
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    assert page.evaluate(CACHED) == cached


@pytest.fixture
def release() -> Iterator[dict[str, str]]:
    """A service of one page, with the service worker of the release ``{"now": …}``, at the URL ``{"url": …}``."""
    state = {"now": "1"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kinds = {"/service-worker.js": "text/javascript", "/offline-worker.js": "text/javascript"}
            body = b"<!doctype html><title>a page</title><h1>online</h1>"
            if self.path == "/service-worker.js":
                cached = f'["/offline/", "/style-{state["now"]}.css"]'
                script = f'self.RELEASE = "{state["now"]}"; self.KEPT = {cached}; importScripts("/offline-worker.js");'
                body = script.encode()
            elif self.path == "/offline-worker.js":
                body = (STATIC / "offline-worker.js").read_bytes()
            elif self.path == "/offline/":
                body = f"<!doctype html><title>offline</title><h1>offline {state['now']}</h1>".encode()
            self.send_response(200)
            self.send_header("Content-Type", kinds.get(self.path, "text/html"))
            self.send_header("Cache-Control", "no-cache")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    state["url"] = f"http://127.0.0.1:{server.server_address[1]}"
    yield state
    server.shutdown()
    server.server_close()


def test_a_new_release_replaces_the_old_one(release: dict[str, str], tablet: BrowserContext) -> None:
    page = tablet.new_page()
    page.goto(release["url"])
    page.evaluate("navigator.serviceWorker.register('/service-worker.js')")
    wait_until_controlled(page)
    assert page.evaluate(CACHED) == ["/offline/", "/style-1.css"]
    release["now"] = "2"
    page.evaluate("async () => (await navigator.serviceWorker.ready).update()")
    assert page.evaluate(BECOMES_TRUE % f'async () => String(await ({CACHED})()) === "/offline/,/style-2.css"')
    tablet.set_offline(True)
    page.goto(f"{release['url']}/anything")
    expect(page.locator("h1")).to_have_text("offline 2")
