"""Steps that several tests share."""

import os
import re
import sqlite3
from contextlib import closing
from typing import Any
from uuid import UUID

from playwright.sync_api import Page, expect

from tests.service import Service

PASSWORD = "a long enough password"
#: The tests' chests are drawn. A bundle may notice that and call them unusable.
VERDICT = re.compile("signs of pneumonia|unclear|not a usable chest x-ray", re.IGNORECASE)


def link_mailed_to(service: Service, address: str) -> str:
    mails = [file.read_text() for file in (service.data_dir / "mail").iterdir()]
    return re.findall(r"http://\S+", next(mail for mail in mails if f"To: {address}" in mail))[0]


def register(service: Service, page: Page, name: str, invitation: str = "") -> Page:
    """Register, with an invitation's link if there is one, and confirm the address."""
    address = f"{name}@clinic.example"
    page.goto(invitation or service.url)
    page.get_by_role("main" if invitation else "banner").get_by_role("link", name="Register").click()
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("button", name="Register").click()
    expect(page.locator("h1")).to_have_text("Look into your mail")
    page.goto(link_mailed_to(service, address))
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("summary", has_text=name)).to_be_visible()
    return page


def sign_in(service: Service, page: Page, name: str, password: str) -> Page:
    page.goto(f"{service.url}/accounts/login/")
    page.get_by_label("User name or e-mail").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.locator("summary", has_text=name)).to_be_visible()
    return page


def choose(page: Page, name: str, entry: str) -> None:
    """Click an entry of the user menu."""
    page.locator("summary", has_text=name).click()
    menu = page.locator(".menu")
    menu.get_by_role("link", name=entry).or_(menu.get_by_role("button", name=entry)).click()


def make_department(admin: Page, name: str) -> None:
    """Create a department as an administrator, and open its page."""
    choose(admin, "admin", "Departments")
    admin.get_by_label("Name", exact=True).fill(name)
    admin.get_by_label("Short name").fill(name.lower().replace(" ", "-"))
    admin.get_by_role("button", name="Make it").click()
    expect(admin.locator("h1")).to_have_text(name)


def invite(manager: Page, role: str) -> str:
    """Create an invitation on a department's page; return its link."""
    form = manager.locator("form", has_text="Invite someone")
    form.get_by_label("Role").select_option(role)
    form.get_by_role("button", name="Make an invitation").click()
    return manager.get_by_role("textbox", name="The invitation").input_value()


def api(page: Page, path: str) -> Any:
    """The API's answer to the person who is signed in on a page."""
    answer = page.request.get(path)
    assert answer.ok, answer.status
    return answer.json()


def show_as_usable(service: Service, page: Page) -> None:
    """Change the result of an image's page by :func:`make_usable`, and show it."""
    make_usable(service, page.url)
    page.reload()


def make_usable(service: Service, url: str) -> None:
    """Change the result of an image's page to one of a real chest.

    The model's check may notice drawn chests, and their maps need not have a strongest place.
    """
    image = UUID(url.rstrip("/").rsplit("/", 1)[-1]).hex
    strongest = bytes(255 if 5 <= row < 8 and 3 <= column < 6 else 0 for row in range(14) for column in range(14))
    with closing(sqlite3.connect(service.data_dir / "db.sqlite3", timeout=20)) as database, database:
        changed = database.execute(
            """UPDATE studies_reading SET "group" = 'unclear', label = 'NORMAL', warnings = '[]', heatmap = ?
               WHERE image_id = ?""",
            [strongest, image],
        )
        assert changed.rowcount == 1


def no_sideways_scroll(page: Page) -> None:
    page.wait_for_load_state("domcontentloaded")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def slower() -> float:
    """The factor by which answers take longer if more programs run than there are processors."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
