"""Steps to read a worklist by keyboard, which several tests share."""

from collections.abc import Callable, Sequence
from typing import Any

from playwright.sync_api import Page, expect

from tests import clients, synthetic
from tests.browser.steps import register
from tests.service import Service

#: Measures the time from a key press until the next image is on the screen with its picture.
WATCH = """
  if (!window.shown) {
    performance.setResourceTimingBufferSize(5000);
    window.shown = { j: [], verdict: [] };
    addEventListener("keydown", ({ key, timeStamp }) => {
      const before = document.getElementById("worklist-image")?.dataset.pk;
      const times = window.shown[key === "j" ? "j" : "verdict"];
      if (!before || !"j123".includes(key)) return;
      const look = () => {
        const bar = document.getElementById("worklist-image");
        const picture = document.querySelector(".film img, .film canvas");
        const loaded = picture && (picture.complete ?? true) && (picture.naturalWidth ?? picture.width);
        if (bar && bar.dataset.pk !== before && loaded) times.push(performance.now() - timeStamp);
        else requestAnimationFrame(look);
      };
      look();
    }, true);
  }
"""


def make_ward(
    service: Service, someone: Callable[[], Page], slug: str, readers: Sequence[str], images: int
) -> dict[str, Page]:
    """Create a department with second reading, these readers and a ZIP that the model has read; return their pages."""
    pages = {name: register(service, someone(), name) for name in readers}
    fill_ward(service, slug, readers, images, second_reading=True)
    return pages


def fill_ward(
    service: Service, slug: str, readers: Sequence[str], images: int, *, second_reading: bool = False
) -> None:
    """Create a department with these readers and a ZIP that the model has read."""
    with clients.admin(service) as api:
        api.post("/api/v1/departments/", json={"name": f"Ward {slug}", "slug": slug}).raise_for_status()
        api.patch(f"/api/v1/departments/{slug}/", json={"second_reading": second_reading}).raise_for_status()
        for name in readers:
            body = {"who": name, "role": "reader"}
            api.post(f"/api/v1/departments/{slug}/members/", json=body).raise_for_status()
        pictures = {f"{seed:02}.jpeg": synthetic.xray_jpeg(seed, (1300, 1100)) for seed in range(images)}
        files = {"files": ("ward.zip", synthetic.zip_of(pictures))}
        study = api.post("/api/v1/studies/", files=files, data={"department": slug}).json()
        clients.wait_final(api, study["url"], 300)


def opened_image(page: Page) -> str:
    return str(page.locator("#worklist-image").get_attribute("data-pk"))


def press(page: Page, key: str) -> None:
    """Press a key, and wait for the next image."""
    before = opened_image(page)
    page.keyboard.press(key)
    page.wait_for_function("(before) => document.getElementById('worklist-image')?.dataset.pk !== before", arg=before)


def open_first_image(service: Service, page: Page, listed: int) -> None:
    """Open the worklist, which shows `listed` images, and open the first one."""
    page.add_init_script(WATCH)
    page.goto(f"{service.url}/worklist/")
    expect(page.locator(".entry")).to_have_count(listed)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/worklist/images/*/**")


def response_times(page: Page) -> dict[str, list[float]]:
    """Milliseconds of each answer by kind of request: the next ``page``, a ``verdict``, keeping an image ``open``."""
    entries: Any = page.evaluate(
        "performance.getEntriesByType('resource').filter(({ initiatorType }) => initiatorType === 'fetch')"
        ".map(({ name, responseEnd, requestStart }) => [new URL(name).pathname, responseEnd - requestStart])"
    )
    times: dict[str, list[float]] = {"page": [], "verdict": [], "open": []}
    for path, milliseconds in entries:
        kind = "verdict" if path.startswith("/api/") else "open" if path.endswith("/open/") else "page"
        times[kind].append(float(milliseconds))
    return times
