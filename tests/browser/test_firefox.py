"""The most frequent actions, in Firefox. All others are tested in Chromium."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from marionette_driver.keys import Keys

from tests import clients, synthetic
from tests.browser import firefox
from tests.browser.firefox import Firefox
from tests.browser.reading import fill_ward
from tests.browser.steps import PASSWORD, VERDICT, link_mailed_to, make_usable
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]

ZOOM = re.compile(r"^Zoom (\d+) %")
MAP_IS_DRAWN = """
  const canvas = document.querySelector(".map-canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, place) => place % 4 === 3 && value > 0);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Firefox]:
    with firefox.running() as started:
        yield started
    assert Path(os.devnull).is_char_device(), "the driver, run as root, has deleted the null device"


@pytest.fixture
def fox(browser: Firefox, service: Service) -> Iterator[Firefox]:
    """The browser of a new person; errors of pages fail the test."""
    browser.open(service.url)
    browser.forget()
    browser.open(service.url)
    yield browser
    assert browser.errors(service.url) == []


def zoom(fox: Firefox) -> int:
    found = ZOOM.search(fox.wait_for(".viewer-state", ZOOM))
    assert found
    return int(found[1])


def test_an_upload_shows_its_result_and_the_viewer_works(service: Service, fox: Firefox, tmp_path: Path) -> None:
    (tmp_path / "chest.jpeg").write_bytes(synthetic.xray_jpeg(5, (2600, 2200)))
    fox.choose("#files", tmp_path / "chest.jpeg")
    fox.wait_for_url("/images/")
    fox.wait_for(".answer h1", re.compile(VERDICT.pattern, re.IGNORECASE))
    make_usable(service, fox.url)
    fox.open(fox.url)
    fitted = zoom(fox)
    viewer = ".layers canvas"
    fox.keys("=", viewer)
    fox.keys("=", viewer)
    fox.wait_for(".viewer-state", f"Zoom {round(fitted * 1.25**2)} %")
    fox.drag(viewer, (40, 30))
    fox.keys("9", viewer)
    fox.wait_for(".viewer-state", "Zoom 100 % · the file's own pixels")
    fox.shot("viewer")
    fox.keys("0", viewer)
    fox.wait_for(".viewer-state", f"Zoom {fitted} %")
    fox.keys("i", viewer)
    assert fox.find("[data-do=invert]").get_attribute("aria-pressed") == "true"
    fox.drag(viewer, (40, 30), button=2)
    fox.wait_for(".viewer-state", re.compile(r"window \d+ %, level \d+ %"))
    fox.keys("r", viewer)
    fox.wait_for(".viewer-state", re.compile(rf"^Zoom {fitted} %$"))
    fox.wheel(viewer, -300)
    fox.wait_for(".viewer-state", re.compile(rf"^Zoom (?!{fitted} )"))
    fox.keys("m", viewer)
    assert fox.find("#rests").get_property("checked")
    fox.wait_for_script(MAP_IS_DRAWN)
    fox.shot("map")


def test_a_folder_becomes_a_study(fox: Firefox, tmp_path: Path) -> None:
    inner = tmp_path / "ward" / "inner"
    inner.mkdir(parents=True)
    for seed in range(3):
        (inner / f"{seed}.jpeg").write_bytes(synthetic.xray_jpeg(seed, (400, 300)))
    fox.choose_folder(".folder label", tmp_path / "ward")
    fox.wait_for_url("/studies/")
    fox.wait_for("h1", "ward")
    fox.wait_for("main", "inner – 2.jpeg")
    fox.shot("study")


def test_a_person_registers_and_reads_by_keyboard(service: Service, fox: Firefox) -> None:
    fox.click("header a", "Register")
    fox.fill("email", "renard@clinic.example")
    fox.fill("password1", PASSWORD)
    fox.fill("password2", PASSWORD)
    fox.shot("register")
    fox.click("main form button", "Register")
    fox.wait_for("h1", "Look into your mail")
    fox.open(link_mailed_to(service, "renard@clinic.example"))
    fox.click("main form button", "Confirm")
    fox.wait_for("header summary", "renard")
    fill_ward(service, "foxes", ["renard"], 3)
    fox.open(f"{service.url}/worklist/")
    fox.find(".entry")
    fox.keys("j")
    fox.keys(Keys.ENTER, ":focus")
    fox.wait_for_url("/worklist/images/")
    opened = [fox.find("#worklist-image").get_attribute("data-pk")]
    fox.keys("j")
    fox.wait_for_url(f"/worklist/images/(?!{opened[0]})")
    fox.keys("k")
    fox.wait_for_url(f"/worklist/images/{opened[0]}")
    for key in "121":
        before = fox.url
        fox.keys(key)
        fox.wait_for_url(f"^(?!{re.escape(before)})")
    fox.wait_for(".empty", "Everything is read.")
    with clients.admin(service) as api:
        reviews = api.get(f"/api/v1/images/{opened[0]}/reviews/").json()
    assert [(review["reviewer"], review["verdict"]) for review in reviews] == [("renard", "PNEUMONIA")]


def test_languages_and_colours_are_chosen(fox: Firefox) -> None:
    def colour() -> str:
        return str(fox.find("body").value_of_css_property("background-color"))

    fox.click("[name=language][value=ne]")
    fox.wait_for("h1", re.compile("[\u0900-\u097f]"))
    assert fox.evaluate("return document.documentElement.lang") == "ne"
    colours = {}
    for theme in ("light", "dark"):
        fox.click(f"[name=theme][value={theme}]")
        fox.find(f"[name=theme][value={theme}][aria-pressed=true]")
        colours[theme] = colour()
        fox.shot(theme)
    assert colours["light"] != colours["dark"]
