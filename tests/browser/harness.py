"""Opens a page with the viewer's modules, without the service."""

import mimetypes

from playwright.sync_api import Page, Route

from tests.service import ROOT

STATIC = ROOT / "webapp/dashboard/static/dashboard"
ADDRESS = "http://viewer.test"


def open_modules(page: Page, html: str = "", **files: bytes) -> None:
    """Open a page that can import the modules, by names such as ``/viewer-view.js``.

    Args:
        page: the page to open it in.
        html: the body of the page.
        files: further files that it can load, by name with a ``_`` for the dot.
    """
    pictures = {name.replace("_", "."): content for name, content in files.items()}

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{ADDRESS}/")
        if name in pictures:
            route.fulfill(body=pictures[name], content_type=mimetypes.guess_type(name)[0])
        elif name:
            route.fulfill(path=STATIC / name)
        else:
            head = '<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="/viewer.css">'
            route.fulfill(body=f"{head}<body>{html}</body>", content_type="text/html")

    page.route(f"{ADDRESS}/**", answer)
    page.goto(f"{ADDRESS}/")
