"""Two readers work through a worklist by keyboard alone, and a third one decides where they disagree."""

import statistics
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import clients, synthetic
from tests.browser.steps import register
from tests.browser.test_pages import no_sideways_scroll
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]

IMAGES = 12
#: Milliseconds that a reader may wait at the median for the next image, and for it once a verdict was kept. The first
#: needs no answer of the server, which has other work beside these tests.
NEXT, KEPT = 100, 500
#: Notes when each next image is on the screen, with its picture, after the key that asked for it.
WATCH = """
  performance.setResourceTimingBufferSize(5000);
  window.shown = { j: [], verdict: [] };
  addEventListener("keydown", ({ key, timeStamp }) => {
    const before = document.getElementById("worklist-image")?.dataset.pk;
    const times = window.shown[key === "j" ? "j" : "verdict"];
    if (!before || !"j123".includes(key)) return;
    const look = () => {
      const bar = document.getElementById("worklist-image");
      const picture = document.querySelector(".film img, .film canvas");
      const there = picture && (picture.complete ?? true) && (picture.naturalWidth ?? picture.width);
      if (bar && bar.dataset.pk !== before && there) times.push(performance.now() - timeStamp);
      else requestAnimationFrame(look);
    };
    look();
  }, true);
"""


@pytest.fixture
def ward(service: Service, someone: Callable[[], Page]) -> dict[str, Page]:
    """Three readers of a department with second reading, and a study of it that the model has read."""
    pages = {name: register(service, someone(), name) for name in ("nora", "omar", "pia")}
    with clients.admin(service) as by:
        by.post("/api/v1/departments/", json={"name": "Night ward", "slug": "night"}).raise_for_status()
        by.patch("/api/v1/departments/night/", json={"second_reading": True}).raise_for_status()
        for name in pages:
            body = {"who": name, "role": "reader"}
            by.post("/api/v1/departments/night/members/", json=body).raise_for_status()
        pictures = {f"{seed:02}.jpeg": synthetic.xray_jpeg(seed, (1300, 1100)) for seed in range(IMAGES)}
        files = {"files": ("ward.zip", synthetic.zip_of(pictures))}
        sent = by.post("/api/v1/studies/", files=files, data={"department": "night"}).json()
        clients.wait_final(by, sent["url"])
    return pages


def opened(page: Page) -> str:
    return str(page.locator("#worklist-image").get_attribute("data-pk"))


def press(page: Page, key: str) -> None:
    """Press a key, and wait for the next image."""
    before = opened(page)
    page.keyboard.press(key)
    page.wait_for_function("(before) => document.getElementById('worklist-image')?.dataset.pk !== before", arg=before)


def begin(service: Service, page: Page) -> None:
    page.add_init_script(WATCH)
    page.goto(f"{service.url}/worklist/")
    expect(page.locator(".entry")).to_have_count(IMAGES)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/worklist/images/*/**")


def answers(page: Page) -> list[float]:
    """Milliseconds that each answer for the pages took."""
    found: Any = page.evaluate(
        "performance.getEntriesByType('resource').filter(({ name, initiatorType }) => initiatorType === 'fetch')"
        ".map(({ responseEnd, requestStart }) => responseEnd - requestStart)"
    )
    return [float(one) for one in found]


def test_two_readers_read_a_study_by_keyboard_alone(service: Service, ward: dict[str, Page]) -> None:
    nora, omar, pia = ward.values()
    begin(service, nora)
    expect(nora.locator("#next")).to_be_visible()
    begin(service, omar)
    expect(omar.locator("#opened-by")).to_contain_text("nora has it open since")
    no_sideways_scroll(nora)
    nora.keyboard.press("?")
    expect(nora.get_by_role("heading", name="Keys")).to_be_visible()
    nora.keyboard.press("Escape")

    first, names = opened(nora), [opened(nora)]
    press(nora, "j")
    names.append(opened(nora))
    nora.reload()
    assert opened(nora) == names[1], "the position is in the address"
    press(nora, "k")
    assert opened(nora) == first
    nora.keyboard.press("c")
    nora.keyboard.type("a shadow behind the heart")
    nora.keyboard.press("Escape")
    for number in range(IMAGES - 1):
        nora.wait_for_timeout(300)  # nobody judges sooner, and the next one is loaded meanwhile
        press(nora, "12"[number % 2])
        expect(nora.locator("#worklist-news")).to_contain_text("Kept")
    nora.keyboard.press("2")
    nora.wait_for_url(f"{service.url}/worklist/")
    expect(nora.locator(".empty")).to_have_text("Everything is read.")

    assert opened(omar) == first, "the second reader begins where they are"
    expect(omar.locator("main")).not_to_contain_text("a shadow behind the heart")
    omar.reload()
    expect(omar.locator("main")).to_contain_text("Someone has read it")
    expect(omar.locator("main")).not_to_contain_text("a shadow behind the heart")
    for _ in range(IMAGES - 1):
        omar.wait_for_timeout(300)
        press(omar, "j")
    for _ in range(IMAGES - 1):
        press(omar, "k")
    for number in range(IMAGES - 1):
        omar.wait_for_timeout(300)
        press(omar, "3" if number == 1 else "12"[number % 2])
    shown, waits = omar.evaluate("window.shown"), sorted(answers(omar))
    omar.keyboard.press("2")
    omar.wait_for_url(f"{service.url}/worklist/")

    pia.goto(f"{service.url}/worklist/")
    pia.get_by_role("link", name="1 Readers disagree").click()
    pia.locator(".entry a.open").click()
    expect(pia.locator("main")).to_contain_text("The readers disagree. Your verdict decides.")
    expect(pia.locator(".said")).to_contain_text("Not usable")
    pia.keyboard.press("b")
    pia.keyboard.press("1")
    pia.wait_for_url("**/worklist/?stage=disagreed")
    pia.goto(f"{service.url}/images/{names[1]}/")
    expect(pia.locator(".answer h1")).to_have_text("Pneumonia, bacterial")
    expect(pia.locator(".answer")).to_contain_text("The model's answer was")

    for key, times in shown.items():
        assert len(times) == IMAGES - 1
        print(f"next image by {key}: median {statistics.median(times):.0f} ms, most {max(times):.0f} ms")
    p95 = waits[int(0.95 * len(waits))]
    print(f"{len(waits)} answers: median {statistics.median(waits):.0f} ms, p95 {p95:.0f} ms")
    assert statistics.median(shown["j"]) < NEXT
    assert statistics.median(shown["verdict"]) < KEPT
