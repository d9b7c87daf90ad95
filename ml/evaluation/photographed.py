"""Simulate photographs of films and screens from X-rays, in colour, as a phone would take and send them. Seeded."""

import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[Any]  # float32; OpenCV promises no more than an array of numbers
SKIN = ((214, 168, 144), (160, 112, 86), (96, 64, 50))


@dataclass(frozen=True)
class Photograph:
    """A photograph and the position of its X-ray.

    Attributes:
        content: the JPEG file.
        corners: ``(4, 2)``: x and y of the X-ray's corners: top left, top right, bottom right, bottom left.
    """

    content: bytes
    corners: NDArray[np.float32]


def photograph(xray: Image.Image, rng: np.random.Generator, side: int = 1200) -> Photograph:
    """Photograph an X-ray.

    It hangs on a light box or is shown on a monitor in a room, seen up to 20° from the front and turned by up to 8°.
    There may be glare, moiré (monitors), fingers, vignetting and a tint. There are always blur, noise and JPEG losses.
    One in eight photographs shows nothing but the X-ray, and one in eight is in greyscale.

    Args:
        xray: an image of mode ``L``.
        rng: the random numbers. The same state gives the same photograph.
        side: the photograph's longer side in pixels.
    """
    on_screen = bool(rng.random() < 0.5)
    size = (side, side * 3 // 4) if rng.random() < 0.5 else (side * 3 // 4, side)
    scene, inner = _sheet(xray, rng, on_screen)
    projection, corners = _view(scene.shape, inner, size, rng)
    room = _room(size, rng)
    covered = cv2.warpPerspective(np.ones(scene.shape[:2], np.float32), projection, size)[..., np.newaxis]
    picture_values = room * (1 - covered) + cv2.warpPerspective(scene, projection, size, flags=cv2.INTER_AREA) * covered
    if rng.random() < 0.4:
        picture_values = _fingers(picture_values, corners, rng)
    picture_values = _light(picture_values, rng)
    blurred = cv2.GaussianBlur(picture_values, (0, 0), float(rng.uniform(0.5, 1.6)))
    noisy = blurred + np.asarray(rng.normal(0, rng.uniform(1.5, 6), blurred.shape), dtype=np.float32)
    picture = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    stream = io.BytesIO()
    (picture.convert("L") if rng.random() < 0.125 else picture).save(stream, "JPEG", quality=int(rng.integers(55, 93)))
    return Photograph(stream.getvalue(), corners)


def _sheet(xray: Image.Image, rng: np.random.Generator, on_screen: bool) -> tuple[Pixels, NDArray[np.float32]]:
    """A film on a light box or a screen with its bezel, and the corners of the X-ray in it."""
    height = 900
    width = round(height * xray.width / xray.height)
    film: Pixels = np.asarray(xray.resize((width, height)), dtype=np.float32)
    gamma = rng.uniform(0.8, 1.3)
    film = 255 * (film / 255) ** gamma * rng.uniform(0.75, 1) + rng.uniform(5, 35)
    if on_screen:
        film = _moire(film, rng)
        canvas, frame = float(rng.uniform(6, 22)), float(rng.uniform(15, 60))
    else:
        canvas, frame = float(rng.uniform(12, 40)), float(rng.uniform(215, 250))
    edge, rim = int(rng.uniform(0.01, 0.06) * height), int(rng.uniform(0.03, 0.12) * height)
    pad = edge + rim
    sheet = np.full((height + 2 * pad, width + 2 * pad), frame, np.float32)
    sheet[rim:-rim, rim:-rim] = canvas
    sheet[pad : pad + height, pad : pad + width] = film
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) + pad
    return np.repeat(sheet[..., np.newaxis], 3, axis=2), corners


def _moire(film: Pixels, rng: np.random.Generator) -> Pixels:
    y, x = np.mgrid[0 : film.shape[0], 0 : film.shape[1]].astype(np.float32)
    waves = np.zeros_like(film)
    for _ in range(int(rng.integers(1, 4))):
        angle, period = rng.uniform(0, np.pi), rng.uniform(5, 60)
        bend = rng.uniform(0, 8) * np.sin(y / rng.uniform(80, 300))
        waves += np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle) + bend) / period)
    return film * (1 + rng.uniform(0, 0.12) * waves)


def _view(
    shape: tuple[int, ...], inner: NDArray[np.float32], size: tuple[int, int], rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """The projection of a sheet into the photograph, and the projected corners of the X-ray."""
    height, width = shape[:2]
    outer = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    yaw, pitch, roll = np.radians(rng.uniform((-20, -20, -8), (20, 20, 8)))
    points = np.c_[outer - outer.mean(axis=0), np.zeros(4)]
    rotations = {
        "y": [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]],
        "x": [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]],
        "z": [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]],
    }
    turned = points @ np.array(rotations["y"]).T @ np.array(rotations["x"]).T @ np.array(rotations["z"]).T
    distance = 1.8 * max(width, height)
    flat = turned[:, :2] * (distance / (distance + turned[:, 2:]))
    fits = min(size[0] / np.ptp(flat[:, 0]), size[1] / np.ptp(flat[:, 1]))
    close = rng.random() < 0.125
    flat *= fits * (rng.uniform(1.25, 1.4) if close else rng.uniform(0.6, 0.95))
    room = (np.array(size) - np.ptp(flat, axis=0)) / 2
    centre = np.array(size) / 2 + (0 if close else rng.uniform(-0.8, 0.8, 2) * room)
    projection = cv2.getPerspectiveTransform(outer, (flat + centre).astype(np.float32))
    return projection, cv2.perspectiveTransform(inner[np.newaxis], projection)[0]


def _room(size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """A wall or a desk: a colour with shades, and some pieces of furniture."""
    width, height = size
    coarse = rng.normal(0, 1, (6, 6, 3)).astype(np.float32)
    base = rng.uniform(10, 190) + rng.uniform(-25, 25, 3)
    room = base + 14 * cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(0, 5))):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        far = (x + int(rng.integers(60, width)), y + int(rng.integers(60, height)))
        cv2.rectangle(room, (x, y), far, tuple(float(v) for v in rng.uniform(10, 220, 3)), -1)
    return cv2.GaussianBlur(room.astype(np.float32), (0, 0), 2)


def _fingers(picture: Pixels, corners: NDArray[np.float32], rng: np.random.Generator) -> Pixels:
    """Draw one to three fingers that hold an edge."""
    skin = np.array(SKIN[int(rng.integers(len(SKIN)))], np.float32)
    hand: Pixels = np.zeros(picture.shape[:2], np.float32)
    side = int(rng.integers(4))
    start, end, middle = corners[side], corners[(side + 1) % 4], corners.mean(axis=0)
    for _ in range(int(rng.integers(1, 4))):
        grip = start + (end - start) * rng.uniform(0.1, 0.9)
        away = (grip - middle) / max(1.0, float(np.linalg.norm(grip - middle)))
        tip, wrist = grip - away * rng.uniform(10, 70), grip + away * 400
        cv2.line(hand, tip.astype(int).tolist(), wrist.astype(int).tolist(), 1.0, int(rng.integers(35, 70)))
    hand = cv2.GaussianBlur(hand, (0, 0), 3)[..., np.newaxis]
    return picture * (1 - hand) + skin * rng.uniform(0.6, 1.0) * hand


def _light(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Add glare, vignetting, a tint and the exposure of the room."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for _ in range(int(rng.integers(0, 4))):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        rx, ry = rng.uniform(0.03, 0.2, 2) * max(width, height)
        picture = (
            picture + (rng.uniform(20, 160) * np.exp(-(((x - cx) / rx) ** 2) - ((y - cy) / ry) ** 2))[..., np.newaxis]
        )
    dark = rng.uniform(0, 0.45) * (((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2)
    tint = 1 + rng.uniform(-0.10, 0.10, 3)
    return (picture * (1 - dark)[..., np.newaxis] * tint * rng.uniform(0.8, 1.1)).astype(np.float32)
