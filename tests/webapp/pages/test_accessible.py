"""Each page in a real browser, light and dark, wide and narrow, in both languages: all of it can be seen and reached.

axe-core finds what breaks WCAG 2.2 AA and its own best practices, of any impact. What a page loads is weighed too.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import launched, watched
from tests.webapp import walk
from tests.webapp.hospital import Hospital
from tests.webapp.pages.test_every_role import NO_PAGE
from tests.webapp.test_permission_matrix import table

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.django_db(transaction=True)]

#: Who looks at the pages, in which language; another guest has nothing of their own, as somebody who comes first.
ROLES = {"other guest": "en", "guest": "en", "reader": "ne", "manager": "en", "administrator": "ne"}
#: Parts of pages, which scripts ask for, and files.
NO_WHOLE_PAGE = re.compile(r"/(card|progress|figures)/$|\.(pdf|webmanifest)$")
#: Where there is no page, which is told by one.
NOWHERE = "/nowhere/"
WIDE, NARROW = {"width": 1280, "height": 844}, {"width": 320, "height": 844}
#: Bytes of a page with its scripts and styles, without pictures, before they are compressed.
HEAVIEST = 300_000
WEIGHT = """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
    .filter(({ initiatorType }) => initiatorType !== "img")
    .reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0)"""
#: English that is left in a page in Nepali: four words in a row.
ENGLISH = """() => document.body.innerText.match(/\\b[A-Za-z']+( [a-z']{2,}){3,}/g) ?? []"""
#: What only those see who look after the service, and programs' own words.
ENGLISH_ONLY = ("/admin/", "/api/docs/", "/doctor/")
#: Shows a page in some colours, and opens what is folded away, but for menus, which would cover the rest, and for
#: hundreds of the same, as the API's description has them.
SHOW = """(colours) => {
    document.querySelector("meta[name=color-scheme]").content = colours;
    const parts = [...document.querySelectorAll("details")];
    for (const part of parts.length < 50 ? parts : [])
        part.open = ![...part.children].some((child) => getComputedStyle(child).position === "absolute");
    document.body.offsetWidth;
    for (const animation of document.getAnimations()) animation.cancel();
}"""
#: What of axe's rules may find something else in other colours, or where there is less room.
VISUAL = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]
AXE = """async (some) => {
    const rules = { "target-size": { enabled: true } };
    const options = { resultTypes: ["violations"], preload: false, rules, ...(some && { runOnly: some }) };
    const { violations } = await axe.run(document, options);
    return violations.flatMap(({ id, impact, nodes }) => nodes.slice(0, 3).map(({ html, any, all, none }) =>
        `${id} (${impact}): ${html.slice(0, 160)} ${[...any, ...all, ...none].map((one) => one.message).join("; ")}`));
}"""


def look(page: Page, address: str) -> Iterator[str]:
    """What is wrong with a page."""
    page.set_viewport_size(WIDE)
    answer = page.goto(address)
    if not answer or answer.status != (404 if address.endswith(NOWHERE) else 200):
        yield f"is answered by {answer and answer.status}"
        return
    page.evaluate(AXE_SCRIPT)
    for size, colours, some in ((WIDE, "light", None), (NARROW, "dark", VISUAL)):
        page.set_viewport_size(size)
        page.evaluate(SHOW, colours)
        yield from (f"{colours}, {found}" for found in page.evaluate(AXE, some))
    if (width := page.evaluate("document.documentElement.scrollWidth")) > NARROW["width"]:
        yield f"is {width} pixels wide at {NARROW['width']}"
    if (weight := page.evaluate(WEIGHT)) > HEAVIEST:
        yield f"weighs {weight} bytes"
    if page.get_attribute("html", "lang") == "ne" and not any(part in address for part in ENGLISH_ONLY):
        yield from (f"says in English: {text}" for text in page.evaluate(ENGLISH))


def test_each_page_is_accessible_and_light(
    live_server: Any, make_department: Callable[..., Any], make_image: Callable[..., Any], settings: Any
) -> None:
    settings.REGISTRATION = "open"
    hospital = Hospital(make_department, make_image)
    User.objects.filter(username="administrator").update(is_staff=True, is_superuser=True)
    pages: dict[str, list[str]] = {}
    cookies: dict[str, list[Any]] = {}
    seen: set[str] = set()
    for role, language in ROLES.items():
        actor = hospital.actor(role)
        actor.client.cookies[configured.LANGUAGE_COOKIE_NAME] = language
        pages[role] = [*unlike(seen, actor.client, opened_by(actor, role))]
        cookies[role] = [
            {"name": name, "value": morsel.value, "url": live_server.url}
            for name, morsel in actor.client.cookies.items()
        ]
    wrong: dict[str, list[str]] = defaultdict(list)
    broken: list[str] = []
    # Django's database is not for a thread with an event loop, so that the browser starts after all rows are there.
    with sync_playwright() as playwright:
        browser = launched(playwright)
        for role in ROLES:
            context = browser.new_context(reduced_motion="reduce", service_workers="block")
            context.add_cookies(cookies[role])
            page = watched(context.new_page(), broken)
            for path in pages[role]:
                for found in look(page, live_server.url + path):
                    wrong[found].append(f"{path} as {role}")
            context.close()
        browser.close()
    assert sum(len(found) for found in pages.values()) > 120
    assert broken == []
    assert not wrong, "\n".join(f"{found}: {', '.join(places[:3])}" for found, places in sorted(wrong.items()))


def opened_by(actor: walk.Actor, role: str) -> list[str]:
    """The addresses of all pages that a role may open."""
    rows = table()
    opened = [route for route in walk.routes() if route.method == "GET" and rows[route.path, "GET"][role] == "200"]
    paths = {actor.path(one) for one in opened if not NO_PAGE.search(one.path) and not NO_WHOLE_PAGE.search(one.path)}
    return [*sorted(paths), NOWHERE, *(in_admin(actor.client) if role == "administrator" else ())]


def in_admin(client: Client) -> Iterator[str]:
    """Pages of Django's admin site: lists, forms for something new, and one row of each kind with its history."""
    for path in walk.admin_paths():
        if "{" in path or path.endswith(("/jsi18n/", "/logout/", "/autocomplete/", "/login/")):
            continue
        answer = client.get(path)
        if answer.status_code != 200:
            continue
        yield path
        if found := re.search(rf'href="({path}[^"/]+/change/)', answer.content.decode()):
            yield found[1]
            yield found[1].replace("/change/", "/history/")


def unlike(seen: set[str], client: Client, paths: list[str]) -> Iterator[str]:
    """Those with something in them that no page before had; what is around it is the same on all pages of a role."""
    for path in paths:
        parts = re.findall("<main.*</main>", client.get(path).content.decode(), re.DOTALL)
        content = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|value=\"\w{64}\"", "", "".join(parts)) or path
        if content not in seen:
            seen.add(content)
            yield path
