"""Random changes of an X-ray that keep its diagnosis.

The training images come from one hospital's export. The network must not learn from the traits of that export
(exposure, framing, sharpness, compression), so all of them are varied.
"""

import io
from dataclasses import astuple, dataclass, replace

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from ml.pictures.preprocess import Preprocessing, to_input

FILTERS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.HAMMING,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


@dataclass(frozen=True)
class Strength:
    """Upper bounds of each change; 0 switches one off.

    Attributes:
        rotation: degrees.
        zoom: relative change of scale; the axes partly differ.
        shift: share of the image's side.
        gamma: the exponent lies between 2 ** -gamma and 2 ** gamma.
        contrast: relative change.
        noise: standard deviation in grey levels.
        blur: standard deviation in pixels of a 224-pixel image.
        flip: probability of mirroring.
        jpeg: probability of a JPEG of quality 25 to 95.
        shear: degrees.
        shade: relative change of exposure from one side of the image to the other.
        equalize: share by which the histogram is flattened.
        erase: probability of covering a patch or an edge, where markers and collimators are.
        share: probability of each kind of change (framing, exposure, sharpness). Below 1, a network also sees
            unchanged images.
    """

    rotation: float = 12.0
    zoom: float = 0.15
    shift: float = 0.08
    gamma: float = 0.8
    contrast: float = 0.4
    noise: float = 8.0
    blur: float = 1.2
    flip: float = 0.3
    jpeg: float = 0.5
    shear: float = 0.0
    shade: float = 0.0
    equalize: float = 0.0
    erase: float = 0.0
    share: float = 1.0


#: Changes for choosing the epoch and the threshold. They are strong, but a real upload could show each of them.
HARD = Strength(rotation=8, zoom=0.10, shift=0.06, gamma=0.6, contrast=0.3, noise=6, blur=1.0, flip=0.0, jpeg=0.5)


def perturb(image: Image.Image, rng: np.random.Generator, strength: Strength, spec: Preprocessing) -> np.ndarray:
    """Change an image at random and make it the network's input.

    Args:
        image: mode ``L``, any size.
        rng: the source of randomness; the same state gives the same result.
        strength: the bounds of the changes. If all are 0, the image is prepared as in serving.
        spec: the preprocessing that is applied afterwards.

    Returns:
        ``(size, size)`` 8-bit greyscale, as from :func:`ml.pictures.preprocess.to_input`.
    """
    if not any(astuple(replace(strength, share=0.0))):
        return to_input(image, spec)
    framed, exposed, degraded = (strength.share == 1 or rng.random() < strength.share for _ in range(3))
    if framed:
        image = _frame(image, rng, strength)
    if max(image.size) > 1.5 * spec.size:
        image = image.resize(_jitter_size(spec.size, rng), rng.choice(FILTERS), reducing_gap=3.0)
    if exposed:
        image = _expose(image, rng, strength)
    if exposed and strength.shade:
        image = _shade(image, rng, strength.shade)
    if rng.random() < strength.erase:
        image = _erase(image, rng)
    if degraded:
        image = _degrade(image, rng, strength, spec.size)
    return to_input(image, spec, resample=Image.Resampling(rng.choice(FILTERS)))


def _frame(image: Image.Image, rng: np.random.Generator, strength: Strength) -> Image.Image:
    if rng.random() < strength.flip:
        image = ImageOps.mirror(image)
    width, height = image.size
    angle = np.deg2rad(rng.uniform(-strength.rotation, strength.rotation))
    zoom = 1 + rng.uniform(-strength.zoom, strength.zoom)
    aspect = 1 + rng.uniform(-strength.zoom, strength.zoom) / 2
    scale_x, scale_y = zoom * aspect, zoom / aspect
    centre = np.array([width, height]) / 2
    shift = rng.uniform(-strength.shift, strength.shift, 2) * (width, height)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * (scale_x, scale_y)
    if strength.shear:
        linear = linear @ np.array([[1, np.tan(np.deg2rad(rng.uniform(-strength.shear, strength.shear)))], [0, 1]])
    offset = centre + shift - linear @ centre
    matrix = (linear[0, 0], linear[0, 1], offset[0], linear[1, 0], linear[1, 1], offset[1])
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _jitter_size(size: int, rng: np.random.Generator) -> tuple[int, int]:
    side = int(rng.integers(int(0.9 * size), int(1.5 * size)))
    return side, side


def _expose(image: Image.Image, rng: np.random.Generator, strength: Strength) -> Image.Image:
    gamma = 2 ** rng.uniform(-strength.gamma, strength.gamma)
    contrast = 1 + rng.uniform(-strength.contrast, strength.contrast)
    brightness = rng.uniform(-1, 1) * 0.3 * strength.contrast
    levels = np.linspace(0, 1, 256) ** gamma
    levels = (levels - 0.5) * contrast + 0.5 + brightness
    image = image.point(np.rint(np.clip(levels, 0, 1) * 255).astype(int).tolist())
    if strength.equalize:
        image = Image.blend(image, ImageOps.equalize(image), rng.uniform(0, strength.equalize))
    return image


def _shade(image: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Expose one side more than the other."""
    width, height = image.size
    direction = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, width, dtype=np.float32)[np.newaxis] * np.cos(direction)
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, np.newaxis] * np.sin(direction)
    values = np.asarray(image, dtype=np.float32) * (1 + rng.uniform(0, strength) * (across + down))
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _erase(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cover a patch, or a strip along an edge, with one grey."""
    width, height = image.size
    if rng.random() < 0.5:
        strip = rng.uniform(0.02, 0.10)
        edges = [(0, 0, width, strip * height), (0, (1 - strip) * height, width, height),
               (0, 0, strip * width, height), ((1 - strip) * width, 0, width, height)][rng.integers(4)]  # fmt: skip
    else:
        w, h = rng.uniform(0.05, 0.25, 2) * (width, height)
        x, y = rng.uniform(0, 1, 2) * (width - w, height - h)
        edges = (x, y, x + w, y + h)
    image = image.copy()
    left, top, right, bottom = (int(side) for side in edges)
    image.paste((0, 255, int(rng.integers(256)))[rng.integers(3)], (left, top, right, bottom))
    return image


def _degrade(image: Image.Image, rng: np.random.Generator, strength: Strength, size: int) -> Image.Image:
    scale = max(image.size) / size
    kind = rng.random()
    if kind < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, strength.blur) * scale))
    elif kind < 0.6 and strength.blur:
        image = image.filter(ImageFilter.UnsharpMask(scale * rng.uniform(0.5, 1.5), int(rng.uniform(30, 150)), 0))
    elif kind < 0.75 and strength.blur:
        side = int(size * rng.uniform(0.6, 1.0))
        image = image.resize((side, side), Image.Resampling(rng.choice(FILTERS)))
    if rng.random() < 0.5 and strength.noise:
        values = np.asarray(image, dtype=np.float32)
        values = values + rng.normal(0, rng.uniform(0, strength.noise), values.shape).astype(np.float32)
        image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    if rng.random() < strength.jpeg:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=int(rng.uniform(25, 95)))
        image = Image.open(stream).convert("L")
    return image
