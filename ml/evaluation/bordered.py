"""Add borders to X-rays as in real uploads: strips, letterboxes, film edges and screenshots. All are seeded."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Bordered = Callable[[Image.Image, np.random.Generator], Image.Image]
WORDS = ("File", "Edit", "View", "Window", "Help", "Patient", "Series", "Study", "Layout", "Zoom", "Invert", "Export")
GREYS = {"black": 0, "white": 255, "grey": 128}


def strip(share: float, sides: str, level: int) -> Bordered:
    """Add strips, as wide as a share of the image's width, on the sides named by ``l``, ``t``, ``r`` and ``b``."""

    def add(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        thickness = max(1, round(image.width * share))
        left, top, right, bottom = (thickness * (side in sides) for side in "ltrb")
        framed = Image.new("L", (image.width + left + right, image.height + top + bottom), level)
        framed.paste(image, (left, top))
        return framed

    return add


def letterbox(ratio: float, level: int) -> Bordered:
    """Centre the image on a canvas with this ratio of width to height."""

    def add(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = max(image.width, round(image.height * ratio)), max(image.height, round(image.width / ratio))
        canvas = Image.new("L", (width, height), level)
        canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        return canvas

    return add


def film(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A scanned film: a clear or black edge with text in it, surrounded by the scanner's white."""
    edge = max(4, round(image.width * rng.uniform(0.015, 0.06)))
    level = int(rng.choice([8, 22, 235]))
    sheet = Image.new("L", (image.width + 2 * edge, image.height + 2 * edge), level)
    sheet.paste(image, (edge, edge))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(max(8, edge - 2))
    pen.text((edge, 0), "12345 CHEST PA", fill=255 - level, font=font)
    outer = Image.new("L", (sheet.width + int(rng.integers(8, 40)), sheet.height + int(rng.integers(8, 40))), 252)
    outer.paste(sheet, (int(rng.integers(2, 8)), int(rng.integers(2, 8))))
    return _noisy(outer, rng, 0.7)


def collimated(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blacken everything outside a rectangle that is turned by 1 to 3 degrees."""
    angle = np.radians(rng.uniform(1, 3) * rng.choice([-1, 1]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    half = np.array(image.size) / 2
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half * 0.92
    inside = Image.new("L", image.size)
    ImageDraw.Draw(inside).polygon([tuple(corner) for corner in corners @ turn.T + half], fill=255)
    return Image.composite(image, Image.new("L", image.size), inside)


def lettered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Add a strip with a line of text above the image, as printers and frame grabbers do."""
    height, level = round(image.height * rng.uniform(0.03, 0.08)), int(rng.choice([0, 255]))
    framed = Image.new("L", (image.width, image.height + height), level)
    framed.paste(image, (0, height))
    font = ImageFont.load_default(0.6 * height)
    ImageDraw.Draw(framed).text((height, 0.1 * height), "DOE JANE 1234567 CHEST PA", fill=255 - level, font=font)
    return framed


def screenshot(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A viewer's window with its toolbars on a desktop, next to a window with text."""
    scale = rng.uniform(500, 800) / image.height
    shown = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    dark = rng.random() < 0.6
    back, chrome, ink = (int(rng.integers(20, 60)), 45, 210) if dark else (int(rng.integers(120, 220)), 236, 40)
    canvas = int(rng.choice([0, 0, 30, 128, 245]))
    left, top = int(rng.integers(0, 260)), int(rng.integers(0, 60))
    bar, panel, margin = 64, int(rng.choice([0, 180])), int(rng.integers(0, 90))
    window = (panel + shown.width + 2 * margin, bar + shown.height + 2 * margin)
    size = (left + window[0] + int(rng.integers(0, 420)), top + window[1] + int(rng.integers(24, 110)))
    screen = Image.new("L", size, back)
    pen = ImageDraw.Draw(screen)
    if left > 80:
        pen.rectangle((8, 20, size[0] - 30, size[1] - 50), fill=250)
        _text(pen, (14, 26), (size[0] - 40, size[1] - 60), 30, 12, rng)
    pen.rectangle((left, top, left + window[0] - 1, top + window[1] - 1), fill=canvas)
    pen.rectangle((left, top, left + window[0] - 1, top + bar - 1), fill=chrome)
    _text(pen, (left + 6, top + 4), (left + window[0] - 60, top + bar - 12), ink, 13, rng)
    if panel:
        pen.rectangle((left, top + bar, left + panel - 1, top + window[1] - 1), fill=chrome)
        _text(pen, (left + 6, top + bar + 8), (left + panel - 20, top + window[1] - 20), ink, 12, rng)
    pen.rectangle((0, size[1] - 24, size[0], size[1]), fill=chrome)
    _text(pen, (6, size[1] - 20), (size[0] // 2, size[1] - 4), ink, 12, rng)
    screen.paste(shown, (left + panel + margin, top + bar + margin))
    if rng.random() < 0.5:
        pen.text((left + panel + margin + 6, top + bar + margin + 6), "DOE^JANE 2019-03-02", fill=230)
    return screen


def _text(
    pen: ImageDraw.ImageDraw,
    start: tuple[int, int],
    end: tuple[int, int],
    ink: int,
    size: int,
    rng: np.random.Generator,
) -> None:
    font, y = ImageFont.load_default(size), start[1]
    while y < end[1] - size:
        words, x = [str(word) for word in rng.choice(WORDS, 14)], start[0]
        for word in words[: int(rng.integers(3, 14))]:
            if x + pen.textlength(word, font=font) > end[0]:
                break
            pen.text((x, y), word, fill=ink, font=font)
            x += int(pen.textlength(word, font=font)) + 9
        y += int(size * 1.7)


def _noisy(image: Image.Image, rng: np.random.Generator, deviation: float) -> Image.Image:
    values = np.asarray(image, dtype=np.float32) + rng.normal(0, deviation, (image.height, image.width))
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


#: Every kind of border, by name.
KINDS: dict[str, Bordered] = {
    **{
        f"{name} strip of {share:.1%}, {sides}": strip(share, sides, level)
        for name, level in GREYS.items()
        for share, sides in ((0.005, "r"), (0.01, "r"), (0.02, "lr"), (0.05, "tb"), (0.05, "l"), (0.1, "ltrb"))
    },
    **{
        f"letterbox {title}, {name}": letterbox(ratio, level)
        for name, level in (("black", 0), ("white", 255))
        for title, ratio in (("4:3", 4 / 3), ("16:9", 16 / 9), ("1:1", 1.0), ("3:4", 3 / 4))
    },
    "film edge": film,
    "black collimation, turned by 1° to 3°": collimated,
    "strip with text, above": lettered,
    "screenshot": screenshot,
}
