"""Two readers read a worklist only by keyboard, and a third one decides where they disagree."""

import statistics
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.reading import make_ward, open_first_image, opened_image, press, response_times
from tests.browser.steps import make_usable, no_sideways_scroll
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.integration, pytest.mark.long]

IMAGES = 12
#: Limits in milliseconds of the median time to the next image, and of that after a verdict. The first needs no answer
#: from the server, which does other work during these tests.
MAX_NEXT, MAX_AFTER_VERDICT = 100, 500


@pytest.fixture
def ward(service: Service, someone: Callable[[], Page]) -> dict[str, Page]:
    """A department with second reading, three readers and a study that the model has read; the readers' pages."""
    return make_ward(service, someone, "night", ("nora", "omar", "pia"), IMAGES)


def check_maps_load_on_demand(reader: Page) -> None:
    """Go to the next image and back. A map is loaded only with its switch, because the server needs long to draw it."""
    maps: list[str] = []
    reader.on("request", lambda request: maps.append(request.url) if request.url.endswith("heatmap.png") else None)
    reader.reload()
    reader.wait_for_timeout(1000)  # the next image is loaded meanwhile
    press(reader, "j")
    expect(reader.locator("#rests")).to_be_visible()
    assert not maps
    with reader.expect_request("**/heatmap.png"):
        reader.locator("#rests").check()
    reader.locator("h1").click()
    press(reader, "k")


def test_two_readers_read_a_study_by_keyboard(service: Service, ward: dict[str, Page]) -> None:
    nora, omar, pia = ward.values()
    open_first_image(service, nora, IMAGES)
    expect(nora.locator("#next")).to_be_visible()
    open_first_image(service, omar, IMAGES)
    expect(omar.locator("#opened-by")).to_contain_text("nora has it open since")
    no_sideways_scroll(nora)
    nora.keyboard.press("?")
    expect(nora.get_by_role("heading", name="Keys")).to_be_visible()
    nora.keyboard.press("Escape")

    first, names = opened_image(nora), [opened_image(nora)]
    press(nora, "j")
    names.append(opened_image(nora))
    nora.reload()
    assert opened_image(nora) == names[1], "the position is in the address"
    press(nora, "k")
    assert opened_image(nora) == first
    nora.keyboard.press("c")
    nora.keyboard.type("a shadow behind the heart")
    nora.keyboard.press("Escape")
    for number in range(IMAGES - 1):
        nora.wait_for_timeout(300)  # nobody decides sooner, and the next image is loaded meanwhile
        press(nora, "12"[number % 2])
        expect(nora.locator("#worklist-news")).to_contain_text("Kept")
    nora.keyboard.press("2")
    nora.wait_for_url(f"{service.url}/worklist/")
    expect(nora.locator(".empty")).to_have_text("Everything is read.")

    assert opened_image(omar) == first, "the second reader stays at the opened image"
    expect(omar.locator("main")).not_to_contain_text("a shadow behind the heart")
    make_usable(service, f"/{names[1]}")
    check_maps_load_on_demand(omar)
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
    display_times = omar.evaluate("window.shown")
    server_times = sorted(time for times in response_times(omar).values() for time in times)
    omar.keyboard.press("2")
    omar.wait_for_url(f"{service.url}/worklist/")

    pia.goto(f"{service.url}/worklist/")
    pia.get_by_role("link", name="1 Readers disagree").click()
    pia.locator(".entry a.open").click()
    pia.wait_for_load_state("networkidle")  # keys work only after the script is loaded
    expect(pia.locator("main")).to_contain_text("The readers disagree. Your verdict decides.")
    expect(pia.locator(".said")).to_contain_text("Not usable")
    pia.keyboard.press("b")
    pia.keyboard.press("1")
    pia.wait_for_url("**/worklist/?stage=disagreed")
    pia.goto(f"{service.url}/images/{names[1]}/")
    expect(pia.locator(".answer h1")).to_have_text("Pneumonia, bacterial")
    expect(pia.locator(".answer")).to_contain_text("The model's answer was")

    for key, times in display_times.items():
        assert len(times) == IMAGES - 1
        print(f"next image by {key}: median {statistics.median(times):.0f} ms, maximum {max(times):.0f} ms")
    p95 = server_times[int(0.95 * len(server_times))]
    print(f"{len(server_times)} answers: median {statistics.median(server_times):.0f} ms, p95 {p95:.0f} ms")
    assert statistics.median(display_times["j"]) < MAX_NEXT
    assert statistics.median(display_times["verdict"]) < MAX_AFTER_VERDICT
