"""The viewer: its calculations, run in a browser, and its use on an image's page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests import synthetic
from tests.browser.harness import open_modules
from tests.browser.steps import VERDICT, no_sideways_scroll, show_as_usable
from tests.service import Service

pytestmark = [pytest.mark.browser, pytest.mark.long]

#: A picture of 800 by 600 in a pane of 400 by 400, on a screen with two pixels for each CSS pixel.
SIZE, BOX = {"width": 800, "height": 600}, {"width": 400, "height": 400, "ratio": 2}


@pytest.fixture
def modules(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    open_modules(page)
    yield page
    page.close()


def call(page: Page, module: str, function: str, *arguments: Any) -> Any:
    """Call a function of a module; return its result."""
    script = "async ([module, name, values]) => (await import(`/viewer-${module}.js`))[name](...values)"
    return page.evaluate(script, [module, function, list(arguments)])


FITTED = {"zoom": 1, "x": 0.5, "y": 0.5}


def test_zooming_keeps_the_point_under_the_pointer(modules: Page) -> None:
    assert call(modules, "view", "place", FITTED, SIZE, BOX) == {"scale": 0.5, "left": 0, "top": 50}
    view = FITTED
    for factor, point in ((3, {"x": 100, "y": 150}), (1.7, {"x": 390, "y": 260}), (0.8, {"x": 20, "y": 180})):
        before = call(modules, "view", "place", view, SIZE, BOX)
        view = call(modules, "view", "zoomedAt", view, factor, point, SIZE, BOX)
        after = call(modules, "view", "place", view, SIZE, BOX)
        assert after["scale"] == pytest.approx(before["scale"] * factor)
        for axis, corner in (("x", "left"), ("y", "top")):
            under = [(point[axis] - at[corner]) / at["scale"] for at in (before, after)]
            assert under[0] == pytest.approx(under[1])


def test_a_view_stays_within_the_picture_and_its_limits(modules: Page) -> None:
    assert call(modules, "view", "movedBy", FITTED, 90, 40, SIZE, BOX) == FITTED
    close = call(modules, "view", "zoomedAt", FITTED, 4, {"x": 200, "y": 200}, SIZE, BOX)
    assert close == {"zoom": 4, "x": 0.5, "y": 0.5}
    moved = call(modules, "view", "movedBy", close, 80, 0, SIZE, BOX)
    assert moved["x"] == pytest.approx(0.45)
    far = call(modules, "view", "movedBy", close, 1e6, -1e6, SIZE, BOX)
    place = call(modules, "view", "place", far, SIZE, BOX)
    assert place["left"] == pytest.approx(0)
    assert place["top"] + 600 * place["scale"] == pytest.approx(400)
    assert call(modules, "view", "zoomLimits", SIZE, BOX) == {"least": 1, "most": 32}
    assert call(modules, "view", "actualZoom", SIZE, BOX) == pytest.approx(1)
    most = call(modules, "view", "zoomedAt", FITTED, 1000, {"x": 200, "y": 200}, SIZE, BOX)
    assert call(modules, "view", "place", most, SIZE, BOX)["scale"] == 16
    assert call(modules, "view", "zoomedAt", most, 1e-6, {"x": 9, "y": 9}, SIZE, BOX) == FITTED
    small = {"width": 40, "height": 40}
    limits = call(modules, "view", "zoomLimits", small, BOX)
    assert limits["least"] == pytest.approx(0.05), "a small picture can be shown pixel by pixel"


def test_a_view_can_be_used_for_another_size_of_the_picture(modules: Page) -> None:
    view = call(modules, "view", "zoomedAt", FITTED, 4, {"x": 120, "y": 230}, SIZE, BOX)
    first, second = (call(modules, "view", "place", view, size, BOX) for size in (SIZE, {"width": 400, "height": 300}))
    assert second == {"scale": first["scale"] * 2, "left": first["left"], "top": first["top"]}


def test_a_window_maps_its_greys_to_the_whole_range(modules: Page) -> None:
    plain = {"width": 1, "level": 0.5, "inverted": False}
    assert call(modules, "window", "lineOf", plain) == {"slope": 1, "intercept": 0}
    assert call(modules, "window", "lineOf", {**plain, "inverted": True}) == {"slope": -1, "intercept": 1}
    line = call(modules, "window", "lineOf", {**plain, "width": 0.5, "level": 0.4})
    assert [line["slope"] * grey + line["intercept"] for grey in (0.15, 0.4, 0.65)] == pytest.approx([0, 0.5, 1])
    wider = call(modules, "window", "dragged", plain, 60, 30)
    assert (wider["width"], wider["level"]) == (pytest.approx(1.2214, abs=1e-4), pytest.approx(0.6))
    ends = call(modules, "window", "dragged", plain, -1e5, -1e5)
    assert (ends["width"], ends["level"]) == (0.02, 0)


#: Grey values of a canvas as they are shown while the window is dragged.
QUICK = """async ([greys, tone]) => {
  const { QuickWindow } = await import("/viewer-window.js");
  const canvas = document.createElement("canvas");
  document.createElement("div").append(canvas);
  [canvas.width, canvas.height] = [greys.length, 1];
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(greys.length, 1);
  greys.forEach((grey, place) => pixels.data.set([grey, grey, grey, 255], 4 * place));
  context.putImageData(pixels, 0, 0);
  const quick = new QuickWindow(canvas);
  const shown = [{ ...tone, inverted: true }, tone].map((values) => {
    quick.show(values);
    const { data } = quick.copy.getContext("2d").getImageData(0, 0, greys.length, 1);
    return greys.map((_, place) => [...data.slice(4 * place, 4 * place + 4)]);
  });
  return shown;
}"""


def test_dragging_a_window_shows_the_same_greys(modules: Page) -> None:
    tone = {"width": 0.5, "level": 0.4, "inverted": False}
    greys = [0, 38, 70, 102, 134, 166, 255]
    inverted, shown = modules.evaluate(QUICK, [greys, tone])
    for colours, line in (
        (inverted, call(modules, "window", "lineOf", {**tone, "inverted": True})),
        (shown, call(modules, "window", "lineOf", tone)),
    ):
        for grey, (red, green, blue, alpha) in zip(greys, colours, strict=True):
            assert red == green == blue
            assert red == pytest.approx(min(max(line["slope"] * grey + 255 * line["intercept"], 0), 255), abs=0.51)
            assert alpha == 255


# --- on the page ----------------------------------------------------------------------------------------------------


def state_text(page: Page) -> Any:
    return page.locator(".viewer-state")


def colour(page: Page, x: float, y: float) -> tuple[int, ...]:
    """The colour on the screen at a point of the first pane, given as fractions of its width and height."""
    import io

    from PIL import Image

    page.wait_for_timeout(100)  # until the frame is shown
    with Image.open(io.BytesIO(page.locator(".layers").screenshot())) as shot:
        return tuple(shot.convert("RGB").getpixel((int(shot.width * x), int(shot.height * y))))


def pinch(page: Page, apart: tuple[int, int]) -> None:
    """Move two fingers on the first pane apart."""
    box = page.locator(".layers").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    devtools = page.context.new_cdp_session(page)
    for kind, half in (("touchStart", apart[0]), *(("touchMove", step) for step in range(apart[0], apart[1] + 1, 10))):
        points = [{"x": x - half, "y": y, "id": 1}, {"x": x + half, "y": y, "id": 2}]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.integration
def test_the_viewer_on_an_images_page(service: Service, page: Page, tmp_path: Path, shot) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    (tmp_path / "large.jpeg").write_bytes(synthetic.xray_jpeg(5, (2600, 2200)))
    page.goto(service.url)
    page.set_input_files("#files", tmp_path / "large.jpeg")
    page.wait_for_url("**/images/*/")
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    show_as_usable(service, page)
    viewer = page.get_by_role("application", name="The uploaded X-ray")
    expect(viewer).to_be_visible()
    expect(page.get_by_role("group", name="Viewer")).to_be_visible()
    expect(state_text(page)).to_have_text(re.compile(r"^Zoom \d\d? %$"))
    requests.clear()
    fitted = state_text(page).inner_text()

    # The wheel zooms at the pointer; 1:1 loads the file's own pixels, once.
    viewer.hover(position={"x": 60, "y": 60})
    page.mouse.wheel(0, -300)
    expect(state_text(page)).not_to_have_text(fitted)
    page.get_by_role("button", name="1:1").click()
    expect(state_text(page)).to_have_text("Zoom 100 % · the file's own pixels")
    assert [url.rsplit("/", 2)[-2] for url in requests] == ["original"]
    shot("viewer-actual")

    # Keys work while the viewer has the focus.
    viewer.focus()
    page.keyboard.press("=")
    expect(state_text(page)).to_contain_text("Zoom 125 %")
    page.keyboard.press("0")
    expect(state_text(page)).to_have_text(fitted)
    before = colour(page, 0.5, 0.5)
    page.keyboard.press("i")
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")
    assert colour(page, 0.5, 0.5) == pytest.approx([255 - value for value in before], abs=3)
    page.keyboard.press("r")
    assert colour(page, 0.5, 0.5) == pytest.approx(before, abs=1)
    switch = page.get_by_role("switch", name="Show what raised the score")
    page.keyboard.press("m")
    expect(switch).to_be_checked()
    page.keyboard.press("m")
    expect(switch).not_to_be_checked()
    page.locator("header a").first.focus()
    page.keyboard.press("i")  # the viewer has no focus
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "false")

    # A drag with the right button changes the window, and the picture becomes darker.
    box = viewer.bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    page.mouse.down(button="right")
    page.mouse.move(box["x"] + 60, box["y"] + 130, steps=4)
    page.mouse.up(button="right")
    expect(state_text(page)).to_contain_text("window 88 %, level 73 %")
    expect(page.locator(".quick-canvas")).to_be_hidden()
    assert colour(page, 0.5, 0.5) < before
    page.get_by_role("button", name="Reset").click()
    expect(state_text(page)).to_have_text(fitted)

    # The model's input is shown next to the picture.
    button = page.get_by_role("button", name="Model's view")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".pane-words")).to_have_text(["As it was sent", "What the model saw, 224 × 224 greys"])
    no_sideways_scroll(page)
    shot("viewer-beside")
    button.click()
    expect(page.locator(".pane")).to_have_count(1)

    page.get_by_role("button", name="Full screen").click()
    expect(page.get_by_role("button", name="Full screen")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Full screen")).to_have_attribute("aria-pressed", "false")
    pinch(page, (40, 90))
    expect(state_text(page)).not_to_have_text(fitted)
    no_sideways_scroll(page)
    names = [url.rsplit("/", 2)[-2] for url in requests if "/api/" in url and not url.endswith("heatmap.png")]
    assert sorted(names) == ["input", "original"], "nothing is loaded twice"

    # With any view, the page is printed on one sheet.
    with pypdfium2.PdfDocument(page.pdf(prefer_css_page_size=True)) as printed:
        assert len(printed) == 1
        text = printed[0].get_textpage().get_text_range()
    for words in ("Unclear: have it read first", "This is not a diagnosis", "vgg16", "Not for"):
        assert words in text
    assert "Invert" not in text


@pytest.mark.integration
def test_without_scripts_the_page_shows_its_pictures(service: Service, browser: Browser, files: Path) -> None:
    session = browser.new_context(java_script_enabled=False, service_workers="block")
    page = session.new_page()
    page.goto(service.url)
    page.set_input_files("#files", files / "0.jpeg")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator(".answer h1")).to_have_text(VERDICT)
    expect(page.get_by_alt_text("The uploaded X-ray")).to_be_visible()
    expect(page.get_by_role("link", name="What the model saw")).to_be_visible()
    expect(page.locator(".tools")).to_be_hidden()
    session.close()
