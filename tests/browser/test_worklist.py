"""Two readers work through a worklist by keyboard alone, and a third one decides where they disagree."""

import statistics
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reading import answers, begin, make_ward, opened, press
from tests.browser.steps import make_usable, no_sideways_scroll
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]

IMAGES = 12
#: Milliseconds that a reader may wait at the median for the next image, and for it once a verdict was kept. The first
#: needs no answer of the server, which has other work beside these tests.
NEXT, KEPT = 100, 500


@pytest.fixture
def ward(service: Service, someone: Callable[[], Page]) -> dict[str, Page]:
    """Three readers of a department with second reading, and a study of it that the model has read."""
    return make_ward(service, someone, "night", ("nora", "omar", "pia"), IMAGES)


def no_map_before_it_is_asked_for(reader: Page) -> None:
    """Go to the next image and back. Its map, which takes the server long to draw, is loaded by its switch."""
    maps: list[str] = []
    reader.on("request", lambda request: maps.append(request.url) if request.url.endswith("heatmap.png") else None)
    reader.reload()
    reader.wait_for_timeout(1000)  # the next one is loaded meanwhile
    press(reader, "j")
    expect(reader.locator("#rests")).to_be_visible()
    assert not maps
    with reader.expect_request("**/heatmap.png"):
        reader.locator("#rests").check()
    reader.locator("h1").click()
    press(reader, "k")


def test_two_readers_read_a_study_by_keyboard_alone(service: Service, ward: dict[str, Page]) -> None:
    nora, omar, pia = ward.values()
    begin(service, nora, IMAGES)
    expect(nora.locator("#next")).to_be_visible()
    begin(service, omar, IMAGES)
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
    make_usable(service, f"/{names[1]}")
    no_map_before_it_is_asked_for(omar)
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
    shown = omar.evaluate("window.shown")
    waits = sorted(time for times in answers(omar).values() for time in times)
    omar.keyboard.press("2")
    omar.wait_for_url(f"{service.url}/worklist/")

    pia.goto(f"{service.url}/worklist/")
    pia.get_by_role("link", name="1 Readers disagree").click()
    pia.locator(".entry a.open").click()
    pia.wait_for_load_state("networkidle")  # keys are taken once the script is there
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
