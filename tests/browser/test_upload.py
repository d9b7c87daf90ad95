"""The upload page with files that people choose, drop and paste, and with failures during the upload."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import synthetic
from tests.browser.conftest import LOST
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration]

PARALLEL = 3
SLOW, UNLIMITED = 30_000, -1


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """The page of a new guest, in only one size, because the page's behaviour does not depend on it."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, service_workers="block")
    context.set_default_timeout(60_000)
    page = context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(service.url)
    yield page
    context.close()
    assert not broken


def write(folder: Path, *names: str, size: tuple[int, int] = (160, 120)) -> list[Path]:
    """Write different X-rays with these names; return their paths."""
    paths = [folder / name for name in names]
    for seed, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(synthetic.xray_jpeg(seed, size))
    return paths


def row(page: Page, name: str, number: int = 0) -> Any:
    return page.locator(".upload", has_text=name).nth(number)


@pytest.mark.long
def test_a_dropped_folder_becomes_a_study_with_all_subfolders(page: Page, drop: Any, tmp_path: Path) -> None:
    ward = tmp_path / "ward 3"
    write(ward, "p1/IM1.jpeg", "p2/IM1.jpeg", "p2/deep/IM2.jpeg")
    (ward / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    drop(ward)
    page.wait_for_url("**/studies/*/")
    expect(page.locator("h1")).to_have_text("ward 3")
    expect(page.locator(".entry-name > a")).to_have_count(3)
    assert set(page.locator(".entry-name > a").all_inner_texts()) == {
        "p1 – IM1.jpeg", "p2 – IM1.jpeg", "p2 – deep – IM2.jpeg",
    }  # fmt: skip


@pytest.mark.long
def test_a_folder_with_more_files_than_a_browser_lists_at_once(page: Page, drop: Any, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(230):
        (folder / f"{number}.txt").write_bytes(b"text")  # refused at once, so this costs no time of the workers
    drop(folder)
    expect(page.get_by_text("Could not be taken: 230")).to_be_visible()
    page.get_by_role("link", name="See the study").click()
    expect(page.locator(".progress")).to_contain_text("230 of 230")


def test_a_chosen_folder_becomes_a_study(page: Page, tmp_path: Path) -> None:
    write(tmp_path / "chosen", "a.jpeg", "sub/b.jpeg")
    page.set_input_files("#folder", tmp_path / "chosen")
    page.wait_for_url("**/studies/*/")
    expect(page.locator("h1")).to_have_text("chosen")
    expect(page.locator(".entry-name > a")).to_have_count(2)


@pytest.mark.long
def test_dropping_something_other_than_a_file_shows_a_hint(
    page: Page, drop: Any, service: Service, tmp_path: Path
) -> None:
    hint = page.get_by_role("alert")
    drop(items=[{"mimeType": "text/uri-list", "data": "https://example.org/x.jpg"}])
    expect(hint).to_contain_text("That was a link, not a file. Save the picture")
    drop(items=[{"mimeType": "text/plain", "data": "Patient 12"}])
    expect(hint).to_contain_text("That was text, not a file.")
    (tmp_path / "empty").mkdir()
    drop(tmp_path / "empty")
    expect(hint).to_contain_text("There are no files in the folder “empty”")
    assert page.url.rstrip("/") == service.url, "the browser must not open dropped things"


@pytest.mark.long
def test_a_file_that_vanishes_or_changes_is_reported_and_the_others_are_uploaded(
    page: Page, throttle: Any, tmp_path: Path
) -> None:
    names = [f"{number}.jpeg" for number in range(PARALLEL + 3)]
    *unchanged, changed, deleted = write(tmp_path, *names, size=(900, 700))
    throttle(SLOW)
    page.set_input_files("#files", [*unchanged, changed, deleted])
    expect(row(page, "0.jpeg")).to_contain_text("Uploading")
    deleted.unlink()
    changed.write_bytes(b"another picture")
    throttle(UNLIMITED)
    for path in (changed, deleted):
        expect(row(page, path.name)).to_contain_text("changed, moved or deleted after you chose it")
    for path in unchanged:
        expect(row(page, path.name).get_by_role("link")).to_be_visible()


@pytest.mark.long
def test_leaving_during_an_upload_asks_first(page: Page, throttle: Any, tmp_path: Path) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.type), dialog.dismiss()))
    throttle(SLOW)
    page.set_input_files("#files", write(tmp_path, "a.jpeg", "b.jpeg", size=(1500, 1200)))
    expect(row(page, "a.jpeg")).to_contain_text("Uploading")
    page.close(run_before_unload=True)
    expect(row(page, "a.jpeg")).to_be_visible()
    assert dialogs == ["beforeunload"]
    throttle(UNLIMITED)
    expect(page.locator(".upload a")).to_have_count(2)
    page.close(run_before_unload=True)
    assert dialogs == ["beforeunload"], "after the upload the page can be left"


@pytest.mark.long
def test_files_that_are_chosen_again_are_recognised(page: Page, service: Service, tmp_path: Path) -> None:
    chosen = write(tmp_path, "a.jpeg", "b.jpeg")
    page.set_input_files("#files", chosen)
    expect(page.locator(".upload.done")).to_have_count(2)
    copy = tmp_path / "copy of a.jpeg"
    copy.write_bytes(chosen[0].read_bytes())
    page.set_input_files("#files", [copy, *write(tmp_path, "x/0.jpeg", "x/1.jpeg", "x/c.jpeg")[2:]])
    expect(row(page, "copy of a.jpeg")).to_contain_text("Already read, just now:")
    expect(row(page, "copy of a.jpeg").locator(".tag")).to_be_visible()
    expect(row(page, "c.jpeg").locator(".tag")).to_be_visible()
    page.evaluate("sessionStorage.clear()")  # as in another tab
    page.goto(service.url)
    expect(page.locator(".thumb")).to_have_count(3)
    page.set_input_files("#files", chosen[0])
    expect(row(page, "a.jpeg")).to_contain_text("Already read, just now:")
    page.get_by_role("button", name="Upload again: a.jpeg").click()
    page.wait_for_url("**/images/*/")
    page.goto(service.url)
    expect(page.locator(".thumb")).to_have_count(4)


@pytest.mark.long
def test_an_interrupted_upload_is_repeated_and_stored_once(page: Page, throttle: Any, tmp_path: Path) -> None:
    """The first answer is lost, so that the server already has the image."""
    keys: list[str] = []

    def lose_first_answer(route: Any) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(re.compile("/api/v1/images/$"), lose_first_answer)
    page.set_input_files("#files", write(tmp_path, "a.jpeg"))
    page.wait_for_url("**/images/*/")
    assert len(keys) == 2
    assert len(set(keys)) == 1
    page.get_by_role("link", name="PneumoQueue").click()
    expect(page.locator(".thumb")).to_have_count(1)


@pytest.mark.long
def test_a_failed_upload_can_be_repeated_later(page: Page, throttle: Any, tmp_path: Path) -> None:
    page.clock.install()
    throttle(LOST)
    page.set_input_files("#files", write(tmp_path, "a.jpeg"))
    for pause in (1000, 3000, 8000):
        expect(row(page, "a.jpeg")).to_contain_text("The connection is lost. Trying again")
        page.clock.run_for(pause)
        page.wait_for_timeout(50)
    expect(row(page, "a.jpeg")).to_contain_text("The server cannot be reached. Nothing is lost")
    throttle(UNLIMITED)
    page.get_by_role("button", name="Try again: a.jpeg").click()
    page.wait_for_url("**/images/*/")


@pytest.mark.long
def test_a_page_whose_session_has_changed_offers_to_reload(page: Page, tmp_path: Path) -> None:
    problem = {"code": "signed_out", "detail": "You are no longer signed in, so nothing was done."}
    page.route(re.compile("/api/v1/images/$"), lambda route: route.fulfill(status=409, json=problem))
    page.set_input_files("#files", write(tmp_path, "a.jpeg"))
    expect(row(page, "a.jpeg")).to_contain_text("You are no longer signed in")
    page.get_by_role("button", name="Reload the page: a.jpeg").click()
    expect(page.locator(".upload")).to_have_count(0)


@pytest.mark.long
def test_the_age_is_sent_with_an_image_and_stays_for_the_next(page: Page, service: Service, tmp_path: Path) -> None:
    age = page.get_by_label("Age in years, if known")
    age.fill("640")
    page.set_input_files("#files", write(tmp_path, "a.jpeg"))
    expect(page.locator("#upload-hint")).to_contain_text("The age is a number of years")
    expect(age).to_be_focused()
    expect(page.locator(".upload")).to_have_count(0)
    age.fill("64")
    page.set_input_files("#files", tmp_path / "a.jpeg")
    expect(page.locator("article")).to_contain_text("The patient was 64 years old")
    page.goto(service.url)
    expect(age).to_have_value("64")
