"""The pages as people use them, in the sizes of a desktop screen and a phone."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, CDPSession, JSHandle, Page, expect

from tests.browser.steps import VERDICT, no_sideways_scroll, show_as_usable
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration]


def colours(page: Page, *groups: str) -> list[str]:
    """The colours of the tags of these result groups."""
    return page.evaluate(
        """(groups) => groups.map((group) => {
            const tag = document.body.appendChild(document.createElement("span"));
            tag.className = `tag ${group}`;
            const colour = getComputedStyle(tag).backgroundColor;
            tag.remove();
            return colour;
        })""",
        groups,
    )


def test_one_image_leads_to_its_result(service: Service, page: Page, files: Path, shot) -> None:
    page.goto(service.url)
    no_sideways_scroll(page)
    shot("home")
    page.set_input_files("#files", files / "0.jpeg")
    page.wait_for_url("**/images/*/")
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    show_as_usable(service, page)
    expect(page.locator(".answer h1")).to_have_text("Unclear: have it read first")
    expect(page.locator(".answer")).to_contain_text(re.compile(r"\d %.*signs of pneumonia", re.DOTALL))
    expect(page.locator(".meaning")).to_contain_text("Of 100 children with this answer, about ")
    expect(page.get_by_role("img", name=re.compile("^100 children, of whom"))).to_be_visible()
    expect(page.locator(".facts")).to_contain_text("vgg16")
    # A script shows local time, and keeps the server's text as title.
    expect(page.locator(".facts time.seconds")).to_have_attribute("title", re.compile(" UTC$"))
    expect(page.locator("footer")).to_contain_text("Not a diagnosis")
    width = page.get_by_alt_text("The uploaded X-ray").evaluate(
        "async (image) => { await image.decode(); return image.naturalWidth }"
    )
    assert width == 1300
    no_sideways_scroll(page)
    shot("result")
    page.goto(service.url)
    expect(page.locator(".thumb")).to_have_count(1)
    assert len(set(colours(page, "positive", "unclear", "negative", "unusable", ""))) == 5


def map_measurements(page: Page) -> dict[str, float]:
    """The largest opacity of the map, its distance from the picture in pixels, and the difference of their shapes."""
    return page.evaluate(
        """async () => {
            const overlay = document.getElementById("overlay"), picture = document.querySelector(".layers img");
            await overlay.decode();
            const canvas = document.createElement("canvas");
            canvas.width = overlay.naturalWidth;
            canvas.height = overlay.naturalHeight;
            const context = canvas.getContext("2d");
            context.drawImage(overlay, 0, 0);
            const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
            const one = overlay.getBoundingClientRect(), other = picture.getBoundingClientRect();
            const apart = ["left", "top", "right", "bottom"].map((side) => Math.abs(one[side] - other[side]));
            return {
                strongest: pixels.filter((_, index) => index % 4 === 3).reduce((most, value) => Math.max(most, value)),
                apart: Math.max(...apart),
                shape: Math.abs(canvas.width / canvas.height - picture.naturalWidth / picture.naturalHeight),
            };
        }"""
    )


@pytest.mark.long
def test_the_keyboard_shows_the_map_over_the_image(service: Service, page: Page, files: Path, shot) -> None:
    page.goto(service.url)
    page.set_input_files("#files", files / "0.jpeg")
    page.wait_for_url("**/images/*/")
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    show_as_usable(service, page)
    switch = page.get_by_role("switch", name="Show what raised the score")
    overlay, opacity = page.locator("#overlay"), page.get_by_role("slider", name="Opacity")
    expect(switch).not_to_be_checked()
    expect(overlay).to_be_hidden()
    expect(opacity).to_be_hidden()
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).to_be_checked()
    expect(overlay).to_be_visible()
    measured = map_measurements(page)
    assert measured["strongest"] > 0
    assert measured["apart"] < 1
    assert measured["shape"] < 0.01
    no_sideways_scroll(page)
    shot("map")
    page.keyboard.press("Tab")
    expect(opacity).to_be_focused()
    before = float(overlay.evaluate("image => getComputedStyle(image).opacity"))
    page.keyboard.press("Home")
    assert float(overlay.evaluate("image => getComputedStyle(image).opacity")) < before
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(overlay).to_be_hidden()


def throttle(devtools: CDPSession, bytes_per_second: int) -> None:
    """Limit the page's upload speed; -1 for no limit."""
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    devtools.send("Network.emulateNetworkConditions", conditions)


@pytest.mark.long
def test_each_of_several_files_has_a_progress_bar_and_a_result(service: Service, page: Page, files: Path, shot) -> None:
    page.goto(service.url)
    devtools = page.context.new_cdp_session(page)
    throttle(devtools, 60_000)  # the connection of a small clinic
    page.set_input_files("#files", [files / f"{number}.jpeg" for number in range(4)] + [files / "notes.jpg"])
    expect(page.locator(".upload progress")).to_have_count(5)
    expect(page.locator(".upload-state").first).to_have_text(re.compile(r"Uploading, [1-9]\d? %"))
    shot("uploading")
    throttle(devtools, -1)
    expect(page.locator(".upload-state .tag")).to_have_count(4)
    expect(page.locator(".upload", has_text="notes.jpg")).to_contain_text("a text file")
    no_sideways_scroll(page)
    shot("uploaded")
    page.locator(".upload a").first.click()
    expect(page.locator(".answer h1")).to_have_text(VERDICT)


def transfer(page: Page, file: Path) -> JSHandle:
    """The data of an event that drops or pastes a file."""
    return page.evaluate_handle(
        """([name, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name, {type: "image/jpeg"}));
            return transfer;
        }""",
        [file.name, list(file.read_bytes())],
    )


@pytest.mark.long
def test_a_dropped_file_is_uploaded(service: Service, page: Page, files: Path) -> None:
    page.goto(service.url)
    page.dispatch_event("#upload", "drop", {"dataTransfer": transfer(page, files / "1.jpeg")})
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    expect(page.locator(".file")).to_contain_text("1.jpeg")


@pytest.mark.long
def test_a_pasted_file_is_uploaded(service: Service, page: Page, files: Path) -> None:
    page.goto(service.url)
    pasted = transfer(page, files / "2.jpeg")
    pasted.evaluate(
        "data => document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))"
    )
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    expect(page.locator(".file")).to_contain_text("2.jpeg")


@pytest.mark.long
def test_the_keyboard_reaches_the_drop_zone_and_the_focus_is_visible(service: Service, page: Page) -> None:
    page.on("filechooser", lambda chooser: None)  # makes Chromium report file choosers, needed before the key press
    page.goto(service.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    for _ in range(15):
        page.keyboard.press("Tab")
        if page.locator("#files").evaluate("input => input === document.activeElement"):
            break
    expect(page.locator("#files")).to_be_focused()
    assert page.locator("#upload").evaluate("zone => getComputedStyle(zone).outlineStyle") == "solid"
    with page.expect_file_chooser():
        page.keyboard.press("Enter")


@pytest.mark.long
def test_a_file_that_is_no_image_is_refused_with_a_reason(service: Service, page: Page, files: Path) -> None:
    page.goto(service.url)
    page.set_input_files("#files", files / "notes.jpg")
    expect(page.locator(".upload-state")).to_contain_text("a text file")
    expect(page.get_by_role("status")).to_contain_text("notes.jpg: This is a text file")
    assert page.url.rstrip("/") == service.url


@pytest.mark.long
def test_a_zip_becomes_a_study(service: Service, page: Page, files: Path, shot) -> None:
    page.goto(service.url)
    page.set_input_files("#files", files / "ward.zip")
    page.wait_for_url("**/studies/*/")
    expect(page.locator(".progress")).to_contain_text("of 8")
    shot("study-running")
    expect(page.locator(".progress")).to_contain_text("8 of 8 images done")
    expect(page.locator(".entry")).to_have_count(8)
    expect(page.locator(".entry .tag").first).to_have_text(VERDICT)
    no_sideways_scroll(page)
    shot("study")
    with page.expect_download() as download:
        page.get_by_role("link", name="Results as CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 9


def test_an_upload_works_without_javascript(service: Service, browser: Browser, files: Path) -> None:
    context = browser.new_context(java_script_enabled=False, service_workers="block")
    page = context.new_page()
    page.goto(service.url)
    page.set_input_files("#files", files / "2.jpeg")
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/images/*/")
    expect(page.locator(".answer h1")).to_have_text(VERDICT, timeout=30_000)  # the page reloads itself
    context.close()


@pytest.mark.long
def test_another_guest_cannot_see_an_image(service: Service, browser: Browser, page: Page, files: Path) -> None:
    page.goto(service.url)
    page.set_input_files("#files", files / "3.jpeg")
    page.wait_for_url("**/images/*/")
    other = browser.new_context(service_workers="block")
    other_page = other.new_page()
    answer = other_page.goto(page.url)
    assert answer
    assert answer.status == 404
    expect(other_page.locator("h1")).to_have_text("This page does not exist")
    other_page.goto(service.url)
    expect(other_page.locator(".thumb")).to_have_count(0)
    other.close()


@pytest.mark.long
def test_signing_in_and_out(service: Service, page: Page, shot) -> None:
    page.goto(service.url)
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("User name or e-mail").fill("admin")
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("are not correct")).to_be_visible()
    page.get_by_label("User name or e-mail").fill("admin")
    page.get_by_label("Password", exact=True).fill(service.admin_password)
    shot("login")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("link", name="Admin")).to_be_visible()
    expect(page.get_by_role("link", name="Queues")).to_be_visible()
    page.locator("summary", has_text="admin").click()
    shot("menu")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
