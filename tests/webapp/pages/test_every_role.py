"""Every role in a real browser: each page that it may open works, and offers nothing that it may not do."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, Response, sync_playwright

from tests.browser.conftest import launched, watched
from tests.webapp import walk
from tests.webapp.hospital import Hospital
from tests.webapp.test_permission_matrix import table

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.django_db(transaction=True)]

#: The tests with the whole service open the pages of a manager. A service account has no session.
ROLES = ("guest", "reader", "uploader", "service account", "administrator")
#: Addresses that programs request, or that answer with a file.
NO_PAGE = re.compile(
    r"/(api/(?!docs)|dicomweb|predict|healthz|readyz|metrics|internal)|\.(csv|png|jsonl|js)$|/(preview|download)/$"
)
REFUSED = {"401", "403", "404"}
#: The method and address of every link, form and htmx request on a page, except links to the sign-in page.
OFFERS = """() => {
    const offers = [];
    const add = (method, address) => offers.push([method.toUpperCase(), new URL(address, document.baseURI).href]);
    for (const link of document.querySelectorAll("a[href]"))
        if (link.textContent.trim() !== "Sign in") add("get", link.getAttribute("href"));
    for (const form of document.querySelectorAll("form:not([method=dialog])"))
        add(form.getAttribute("method") ?? "get", form.getAttribute("action") ?? location.href);
    for (const method of ["get", "post", "put", "patch", "delete"])
        for (const one of document.querySelectorAll(`[hx-${method}]`)) add(method, one.getAttribute(`hx-${method}`));
    return offers;
}"""


class Walker:
    """Opens pages and records their faults."""

    def __init__(self, page: Page, url: str, rows: dict[tuple[str, str], str]) -> None:
        self.page, self.url = page, url
        self.answers = {(_pattern(path), method): answer for (path, method), answer in rows.items()}
        self.wrong: list[str] = []
        self.followed: set[str] = set()
        page.on("response", self._note_missing)

    def _note_missing(self, response: Response) -> None:
        if response.status >= 400:
            self.wrong.append(f"{self.page.url} asked for {response.url}: {response.status}")

    def open(self, path: str) -> None:
        answer = self.page.goto(self.url + path)
        assert answer
        if answer.status != 200 or urlsplit(self.page.url).path != path:
            self.wrong.append(f"{path}: {answer.status} at {self.page.url}")
            return
        for method, address in self.page.evaluate(OFFERS):
            if address.startswith(self.url):
                self._check(path, method, address)

    def _check(self, path: str, method: str, address: str) -> None:
        target = urlsplit(address).path
        if method != "GET":
            answers = [
                one for (pattern, verb), one in self.answers.items() if verb == method and pattern.fullmatch(target)
            ]
            if not answers or REFUSED & {*answers}:
                self.wrong.append(f"{path} offers {method} {target}, which answers {answers}")
        elif target + urlsplit(address).query not in self.followed:
            self.followed.add(target + urlsplit(address).query)
            found = self.page.request.get(address)
            signs_in = "/accounts/login/" in found.url and target != "/accounts/login/"
            if found.status != 200 or signs_in:
                self.wrong.append(f"{path} leads to {target}: {found.status} at {found.url}")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))


@pytest.mark.parametrize("role", ROLES)
def test_each_page_works_and_offers_only_what_the_role_may_do(
    role: str, live_server: Any, make_department: Callable[..., Any], make_image: Callable[..., Any], settings: Any
) -> None:
    settings.REGISTRATION = "open"
    hospital = Hospital(make_department, make_image)
    actor = hospital.actor(role)
    rows = {address: answers[role] for address, answers in table().items()}
    opened = [route for route in walk.routes() if route.method == "GET" and rows[route.path, "GET"] == "200"]
    pages = sorted({actor.path(route) for route in opened if not NO_PAGE.search(route.path)})
    cookies = [
        {"name": name, "value": morsel.value, "url": live_server.url} for name, morsel in actor.client.cookies.items()
    ]
    # Django's database cannot be used in a thread with an event loop, so the browser starts after all rows exist.
    with sync_playwright() as playwright:
        browser = launched(playwright)
        context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 800}, service_workers="block")
        context.add_cookies(cookies)
        broken: list[str] = []
        walker = Walker(watched(context.new_page(), broken), live_server.url, rows)
        for path in pages:
            walker.open(path)
        browser.close()
    assert len(pages) > 15
    assert len(walker.followed) > 15
    assert walker.wrong == []
    assert broken == []
