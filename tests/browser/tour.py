"""Takes the pictures of README.md and docs/tour.md: `python -m tests.browser.tour`, which needs about two minutes.

The chests are drawn, which the model's check notices. Their results are replaced by usable ones of each group. With
``--icons`` it draws the icons of the installed page from icon.svg instead. The menu of languages needs a font with
Devanagari (Debian's fonts-noto-core).
"""

import io
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from uuid import UUID

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import clients, synthetic
from tests.browser.conftest import launched
from tests.browser.harness import STATIC
from tests.browser.steps import VERDICT, sign_in
from tests.service import ROOT, Service, bundle, running

PICTURES = ROOT / "docs" / "images"
DESK, PHONE = (1280, 800), (390, 844)
#: Largest size of a picture, because people with slow connections load them on GitHub.
MOST_BYTES = 150_000
#: Results that are shown, in the order of the images; each group occurs.
RESULTS = (
    ("positive", "PNEUMONIA", 0.983), ("negative", "NORMAL", 0.034), ("unclear", "NORMAL", 0.331),
    ("positive", "PNEUMONIA", 0.921), ("negative", "NORMAL", 0.121), ("negative", "NORMAL", 0.078),
)  # fmt: skip
#: The peak of positive results' maps (row, column) in the bright part of the drawn lung, and its width.
PEAK, WIDTH = (9.5, 9.0), 1.8
ICONS = {"icon-192.png": (192, 0), "icon-512.png": (512, 0), "icon-square.png": (512, 0.1)}


def save(name: str, png: bytes) -> None:
    """Save a picture as WebP, in the best quality that is small enough."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for quality in (90, 80, 65, 50):
        stream = io.BytesIO()
        picture.save(stream, "WEBP", quality=quality, method=6)
        if len(stream.getvalue()) < MOST_BYTES:
            break
    (PICTURES / f"{name}.webp").write_bytes(stream.getvalue())
    print(f"{name}.webp: {picture.width} × {picture.height}, {len(stream.getvalue()) / 1000:.0f} kB")


def shot(page: Page, name: str, most: int = 1100) -> None:
    """Take a picture of a page, at most `most` pixels high."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(700)  # wait for pictures and the viewer's texts
    height = min(page.evaluate("document.documentElement.scrollHeight"), most)
    size = page.viewport_size
    assert size
    save(name, page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": size["width"], "height": height}))


def heatmap() -> bytes:
    """A map of 14x14 cells with one peak, as drawn chests hardly raise the model's score."""
    distances = [((row - PEAK[0]) ** 2 + (column - PEAK[1]) ** 2) for row in range(14) for column in range(14)]
    return bytes(round(255 * math.exp(-distance / (2 * WIDTH**2))) for distance in distances)


def make_all_usable(service: Service) -> None:
    """Give every image a result as of a real chest."""
    with closing(sqlite3.connect(service.data_dir / "db.sqlite3", timeout=20)) as database, database:
        keys = [key for (key,) in database.execute("SELECT id FROM studies_image ORDER BY created_at, filename")]
        for number, key in enumerate(keys):
            group, label, probability = RESULTS[number % len(RESULTS)]
            values = {"group": group, "label": label, "probability": probability, "key": key, "heatmap": heatmap()}
            database.execute(
                """UPDATE studies_image SET "group" = :group, label = :label, probability = :probability,
                warning_codes = '' WHERE id = :key""",
                values,
            )
            database.execute(
                """UPDATE studies_reading SET "group" = :group, label = :label, probability = :probability,
                warnings = '[]' WHERE image_id = :key""",
                values,
            )
            if group == "positive":
                database.execute(
                    """UPDATE studies_reading SET heatmap = :heatmap, evidence_inside_lungs = 0.91
                    WHERE image_id = :key""",
                    values,
                )


def create_images(service: Service) -> str:
    """Create a department with a study, and an image with a patient; return the image's id."""
    with clients.admin(service) as api:
        department = {"name": "Paediatrics", "slug": "paediatrics"}
        api.post("/api/v1/departments/", json=department).raise_for_status()
        body = {"who": "admin", "role": "manager"}
        api.post("/api/v1/departments/paediatrics/members/", json=body)
        pictures = {f"chest-{seed + 1:02}.jpeg": synthetic.xray_jpeg(seed, (1300, 1100)) for seed in range(12)}
        files = {"files": ("night-shift.zip", synthetic.zip_of(pictures))}
        study = api.post("/api/v1/studies/", files=files, data={"department": "paediatrics"}).json()
        clients.wait_final(api, study["url"], 300)
        image = clients.upload(api, synthetic.xray_jpeg(20, (1500, 1250)), "aarav.jpeg", patient="PED-1042",
                              department="paediatrics").json()  # fmt: skip
        clients.wait_final(api, image["url"])
        return str(image["id"])


def create_weeks_of_work(service: Service) -> str:
    """Create the rows of :mod:`tests.browser.tour_rows`; return the URL of a search at a PACS."""
    settings = {
        "DATA_DIR": str(service.data_dir),
        "SECRET_KEY": (service.data_dir / "secrets" / "django").read_text().strip(),
    }
    code = f"from tests.browser import tour_rows; print(tour_rows.make('paediatrics', {bundle().name!r}))"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    completed = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=True
    )
    return completed.stdout.split()[-1]


def new_page(browser: Browser, size: tuple[int, int], scheme: str = "light") -> Page:
    width, height = size
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light",
        service_workers="block",
    )  # fmt: skip
    page.set_default_timeout(60_000)
    return page


def take(service: Service, browser: Browser) -> None:
    image = UUID(create_images(service))
    make_all_usable(service)
    result = f"{service.url}/images/{image}/"
    desk = sign_in(service, new_page(browser, DESK), "admin", service.admin_password)

    desk.goto(service.url)
    shot(desk, "home")
    desk.goto(result)
    expect(desk.locator(".answer h1")).to_have_text(VERDICT)
    desk.get_by_role("switch", name="Show what raised the score").click()
    shot(desk, "result", 1250)
    desk.locator("[data-beside][data-kind=model]").click()
    for _ in range(3):
        desk.locator("[data-do=closer]").click()
    desk.wait_for_timeout(500)
    desk.mouse.move(0, 0)
    save("viewer", desk.locator("figure.film").screenshot())
    desk.goto(f"{service.url}/studies/")
    desk.locator(".entry a, main a[href^='/studies/']").first.click()
    shot(desk, "study")
    desk.goto(f"{service.url}/worklist/")
    expect(desk.locator(".entry").first).to_be_visible()
    shot(desk, "worklist")
    desk.keyboard.press("j")
    desk.keyboard.press("Enter")
    desk.wait_for_url("**/worklist/images/*/**")
    shot(desk, "reading")
    desk.goto(f"{service.url}/queue/")
    shot(desk, "queue")
    desk.goto(f"{service.url}/queue/doctor/")
    shot(desk, "doctor")
    desk.goto(f"{service.url}/departments/paediatrics/")
    shot(desk, "department")
    desk.goto(f"{service.url}/images/{image}/timeline/")
    shot(desk, "timeline", 900)

    search = create_weeks_of_work(service)
    desk.goto(f"{service.url}/agreement/?department=paediatrics")
    shot(desk, "agreement", 1250)
    desk.goto(f"{service.url}/departments/paediatrics/calibration/")
    shot(desk, "calibration", 1250)
    desk.goto(f"{service.url}{search}")
    shot(desk, "pacs", 900)

    phone = sign_in(service, new_page(browser, PHONE, "dark"), "admin", service.admin_password)
    phone.goto(result)
    shot(phone, "phone", 1100)


def icons(browser: Browser) -> None:
    source = (STATIC / "icon.svg").read_text()
    for name, (side, margin) in ICONS.items():
        page = browser.new_page(viewport={"width": side, "height": side})
        # Systems cut a square icon into their own shape, so the drawing keeps a margin.
        svg = source.replace('rx="8"', 'rx="0"') if margin else source
        inset = side * margin
        style = f"position: absolute; inset: {inset}px; width: {side - 2 * inset}px; height: {side - 2 * inset}px"
        colour = "#0b6e7f" if margin else "transparent"
        page.set_content(f'<body style="margin: 0; background: {colour}"><div style="{style}">{svg}</div></body>')
        png = page.screenshot(omit_background=True)
        Image.open(io.BytesIO(png)).convert("RGB" if margin else "RGBA").quantize(64, dither=Image.Dither.NONE).save(
            STATIC / name, optimize=True
        )
        page.close()


def main() -> None:
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = launched(playwright)
        if "--icons" in sys.argv:
            icons(browser)
        else:
            if not subprocess.run(["fc-list", ":lang=ne"], stdout=subprocess.PIPE, check=True).stdout:
                sys.exit("No font here has the letters of Nepali: apt-get install fonts-noto-core")
            PICTURES.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory() as folder, running(Path(folder), TIME_ZONE="Asia/Kathmandu") as service:
                take(service, browser)
        browser.close()


if __name__ == "__main__":
    main()
