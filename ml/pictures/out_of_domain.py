"""Pictures other than upright chest X-rays, to fit and to measure the check that detects them
(:mod:`ml.inference.novelty`).

Some are real chest X-rays, turned or inverted. Some are photographs that scikit-learn and matplotlib ship. The rest are
drawings. All are returned as the network's input: ``(n, size, size)`` 8-bit greyscale.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from ml.pictures.preprocess import Preprocessing, to_input

Inputs = NDArray[np.uint8]
#: Ways to invert or turn chest X-rays.
TURNS: dict[str, Callable[[Inputs], Inputs]] = {
    "inverted": lambda inputs: 255 - inputs,
    "turned left": lambda inputs: np.rot90(inputs, 1, axes=(1, 2)),
    "turned right": lambda inputs: np.rot90(inputs, 3, axes=(1, 2)),
    "upside down": lambda inputs: np.rot90(inputs, 2, axes=(1, 2)),
}
SIDE = 448
WORDS = (
    "patient name date of birth chest anterior posterior view findings lungs clear no effusion heart size normal "
    "ward referral clinic insurance signature cough fever since Monday invoice total please return this form to"
)


def turned(inputs: Inputs) -> dict[str, Inputs]:
    """Turned and inverted chest X-rays, by kind."""
    return {kind: np.ascontiguousarray(turn(inputs)) for kind, turn in TURNS.items()}


def drawn(spec: Preprocessing, count: int, seed: int) -> dict[str, Inputs]:
    """Drawings and noise by kind, ``count`` of each."""
    inputs = {}
    for number, (kind, draw) in enumerate(DRAWINGS.items()):
        rng = np.random.default_rng([seed, number])
        inputs[kind] = np.stack([to_input(draw(rng), spec) for _ in range(count)])
    return inputs


def photographs(spec: Preprocessing, count: int, seed: int) -> Inputs:
    """Clippings of photographs that scikit-learn and matplotlib ship: a palace, a flower, an admiral."""
    return clippings(list(_shipped()), spec, count, seed)


def clippings(pictures: list[Image.Image], spec: Preprocessing, count: int, seed: int) -> Inputs:
    """Each picture as a whole, then random parts of the pictures with at least a third of each side."""
    rng = np.random.default_rng(seed)
    inputs = []
    for number in range(count):
        picture = pictures[number % len(pictures)].convert("L")
        if number >= len(pictures):
            picture = _clipping(picture, rng)
        inputs.append(to_input(picture, spec))
    return np.stack(inputs)


def _shipped() -> Iterator[Image.Image]:
    import matplotlib
    import sklearn

    images = Path(sklearn.__file__).parent / "datasets" / "images"
    samples = Path(matplotlib.get_data_path()) / "sample_data"
    for file in (images / "china.jpg", images / "flower.jpg", samples / "grace_hopper.jpg"):
        with Image.open(file) as picture:
            yield picture.convert("L")


def _clipping(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = (int(side * rng.uniform(0.34, 1.0)) for side in picture.size)
    left, top = int(rng.integers(picture.width - width + 1)), int(rng.integers(picture.height - height + 1))
    picture = picture.crop((left, top, left + width, top + height))
    return ImageOps.mirror(picture) if rng.random() < 0.5 else picture


# --- drawings -------------------------------------------------------------------------------------------------------


def _blank(rng: np.random.Generator) -> Image.Image:
    """One grey level, in some cases with the faint noise of a detector."""
    values = rng.integers(0, 256) + rng.normal(0, rng.choice([0.0, 0.5, 2.0]), (SIDE, SIDE))
    return _grey(values)


def _gradient(rng: np.random.Generator) -> Image.Image:
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    slope = x * np.cos(angle) + y * np.sin(angle)
    values = np.hypot(x - rng.uniform(-0.3, 0.3), y - rng.uniform(-0.3, 0.3)) if rng.random() < 0.4 else slope
    return _grey(255 * (values - values.min()) / np.ptp(values) * rng.uniform(0.3, 1.0))


def _noise(rng: np.random.Generator) -> Image.Image:
    """White noise, or noise with most of its power in large structures, as in natural images."""
    values = rng.normal(0, 1, (SIDE, SIDE))
    falloff = rng.choice([0.0, 0.5, 1.0, 1.5, 2.0])
    if falloff:
        y, x = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
        distance = np.maximum(np.hypot(x, y), 1 / SIDE)
        values = np.fft.ifft2(np.fft.fft2(values) / distance**falloff).real
    return _grey(128 + 50 * values / values.std())


def _pattern(rng: np.random.Generator) -> Image.Image:
    """Stripes, a chequerboard or circles, as in test patterns."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] - SIDE / 2
    angle, period = rng.uniform(0, np.pi), rng.uniform(12, 120)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    waves = {
        0: np.sin(2 * np.pi * along / period),
        1: np.sin(2 * np.pi * along / period) * np.sin(2 * np.pi * across / period),
        2: np.sin(2 * np.pi * np.hypot(x, y) / period),
    }[int(rng.integers(3))]
    return _grey(127 + 120 * (np.sign(waves) if rng.random() < 0.5 else waves))


def _text(rng: np.random.Generator) -> Image.Image:
    """A scanned page, dark on light."""
    page = Image.new("L", (SIDE, int(SIDE * rng.uniform(0.8, 1.4))), int(rng.integers(215, 256)))
    pen, size = ImageDraw.Draw(page), int(rng.integers(9, 34))
    font = ImageFont.load_default(size)
    y = float(rng.integers(8, 60))
    while y < page.height - size:
        if rng.random() < 0.88:
            words = rng.choice(WORDS.split(), int(rng.integers(2, 14)))
            pen.text((int(rng.integers(10, 40)), y), " ".join(words), fill=int(rng.integers(0, 80)), font=font)
        y += size * rng.uniform(1.15, 1.6)
    if rng.random() < 0.4:
        for row in np.linspace(40, page.height - 40, int(rng.integers(3, 10))):
            pen.line((10, row, SIDE - 10, row), fill=60)
    return _speckled(page.rotate(rng.uniform(-3, 3), fillcolor=235, resample=Image.Resampling.BILINEAR), rng, 3)


def _limb(rng: np.random.Generator) -> Image.Image:
    """An arm or a leg on black: soft tissue, one bone above a joint, one or two bones below it."""
    film, joint = np.zeros((SIDE, SIDE)), rng.uniform(-0.2, 0.2)
    bend, wide = rng.uniform(-0.35, 0.35), rng.uniform(0.18, 0.34)
    film += 70 * _capsule((0, -1.2), (0, joint), wide) + 70 * _capsule((0, joint), (bend, 1.2), wide * 0.9)
    film = np.minimum(film, 85)
    film += _bone((0, -1.2), (0, joint - 0.05), wide * rng.uniform(0.3, 0.45))
    if rng.random() < 0.5:
        film += _bone((0, joint + 0.05), (bend, 1.2), wide * 0.35)
    else:
        film += _bone((-wide / 3, joint + 0.05), (bend - wide / 3, 1.2), wide * 0.27)
        film += _bone((wide / 3, joint + 0.08), (bend + wide / 3, 1.2), wide * 0.2)
    return _developed(film, rng)


def _hand(rng: np.random.Generator) -> Image.Image:
    """A hand: forearm, palm and five fingers of three bones each."""
    soft, bones = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    spread, long = rng.uniform(0.1, 0.25), rng.uniform(0.85, 1.1)
    soft = np.maximum(soft, _capsule((0, 0.5), (0, 1.4), 0.24))
    soft = np.maximum(soft, _capsule((0, 0.15), (0, 0.4), 0.36))
    for finger, length in enumerate((0.55, 0.75, 0.82, 0.76, 0.6)):
        angle = (finger - 2) * spread - (0.6 if finger == 0 else 0)
        direction = np.array([np.sin(angle), -np.cos(angle)])
        wrist = np.array([(finger - 2) * 0.1, 0.45])
        tip = wrist + direction * (length + 0.45) * long
        soft = np.maximum(soft, _capsule(wrist, tip, 0.085))
        for start, end in ((0.05, 0.42), (0.47, 0.68), (0.72, 0.86), (0.89, 0.98)):
            bones += _bone(wrist + (tip - wrist) * start, wrist + (tip - wrist) * end, 0.05)
    bones += _bone((-0.08, 0.62), (-0.08, 1.4), 0.08) + _bone((0.1, 0.62), (0.1, 1.4), 0.06)
    return _developed(75 * soft + bones, rng)


def _developed(film: NDArray[np.float64], rng: np.random.Generator) -> Image.Image:
    """Turn a drawn film by a random angle, and mirror, expose and blur it at random, with noise."""
    picture = _grey(film * rng.uniform(0.8, 1.3) + rng.uniform(0, 25))
    picture = picture.rotate(rng.uniform(0, 360), resample=Image.Resampling.BILINEAR)
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    return _speckled(picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2))), rng, 5)


def _capsule(start: object, end: object, radius: float) -> NDArray[np.float64]:
    """1 within ``radius`` of a line, with a soft edge to 0 outside. The film's coordinates go from -1 to 1."""
    return 1 / (1 + np.exp((_distance_from_line(start, end) - radius) / 0.012))


def _bone(start: object, end: object, radius: float) -> NDArray[np.float64]:
    """A bone, bright in the cortex and darker in the marrow."""
    distance = _distance_from_line(start, end)
    cortex = np.exp(-(((distance - radius * 0.85) / (radius * 0.22)) ** 2))
    return 70 * cortex + 60 / (1 + np.exp((distance - radius) / 0.01))


def _distance_from_line(start: object, end: object) -> NDArray[np.float64]:
    first, last = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE * 2 - 1
    along = last - first
    share = np.clip(((x - first[0]) * along[0] + (y - first[1]) * along[1]) / (along @ along), 0, 1)
    return np.hypot(x - first[0] - share * along[0], y - first[1] - share * along[1])


def _speckled(picture: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    values = np.asarray(picture, dtype=float)
    return _grey(values + rng.normal(0, rng.uniform(0, strength), values.shape))


def _grey(values: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


DRAWINGS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "blank": _blank,
    "gradient": _gradient,
    "noise": _noise,
    "pattern": _pattern,
    "text": _text,
    "limb": _limb,
    "hand": _hand,
}
