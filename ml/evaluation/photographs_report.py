"""Measure how well photographs of films and screens are detected, and how well they are read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ml.evaluation import bordered, sources
from ml.evaluation.borders_report import Reader
from ml.evaluation.photographed import Photograph, photograph
from ml.pictures import photographs, xray
from ml.pictures.decode import open_image
from ml.pictures.warnings import PHOTOGRAPH_OF_FILM


def report(
    model: Path,
    directory: Path,
    *,
    also: Sequence[Path] = (),
    others: Sequence[Path] = (),
    limit: int = 75,
    json_file: Path | None = None,
) -> dict[str, Any]:
    """Simulate photographs of held-out patients' X-rays, and print how they are detected and read.

    Args:
        model: the bundle's folder.
        directory: its training data; the patients that its training held out are used.
        also: folders of the same layout with other renditions.
        others: folders with a subfolder of pictures for each other source, for false alarms.
        limit: the number of held-out files of each class, one per patient.
        json_file: a file for the figures.

    Returns:
        ``noticed``: the share of photographs that each sign detects. ``read``: the figures on the X-rays' own files; on
        the photographs as they are; rectified by the detected sheet; and rectified by the known corners.
        ``false_alarms``: for each source the number of files, and how many are taken for photographs.
    """
    reader = Reader(model)
    points = reader.bundle.thresholds
    samples = sources.held_out(reader.bundle, (directory, *also), limit)
    truth = np.array([sample.label for sample in samples])
    plain = [open_image(sample.path.read_bytes()) for sample in samples]
    photographed = [photograph(image, np.random.default_rng([7, number])) for number, image in enumerate(plain)]
    pictures = [open_image(taken.content) for taken in photographed]
    views = {
        "the X-rays' own files": plain,
        "photographs as they are": pictures,
        "rectified by the sheet found": [_rectified(picture) for picture in pictures],
        "rectified by the known corners": [
            _rectified_by_corners(*pair) for pair in zip(pictures, photographed, strict=True)
        ],
    }
    figures: dict[str, Any] = {"model": reader.bundle.id, "read": {}, "false_alarms": {}}
    probabilities = {}
    for name, images in views.items():
        probabilities[name], flagged = reader.read(images)
        changed = (probabilities[name] >= reader.bundle.threshold) != (
            probabilities["the X-rays' own files"] >= reader.bundle.threshold
        )
        figures["read"][name] = {
            **sources.figures(truth, probabilities[name], points),
            "labels changed": int(changed.sum()),
            "flagged": round(float(flagged.mean()), 4),
        }
        print(sources.row(name, figures["read"][name]), flush=True)
    grey = np.array([picture.info["colour"] is None for picture in pictures])
    detected = {
        "any": np.array([_is_detected(picture) for picture in pictures]),
        "colour": np.array([photographs.has_colour(picture.info["colour"]) for picture in pictures]),
        "a sheet": np.array([photographs.find_sheet(picture) is not None for picture in pictures]),
    }
    figures["noticed"] = {
        "n": len(pictures),
        **{f"by {name}": round(float(detections.mean()), 4) for name, detections in detected.items()},
        "in greyscale": int(grey.sum()),
        "of those in greyscale": round(float(detected["any"][grey].mean()), 4) if grey.any() else 0.0,
    }
    print(sources.row("noticed", figures["noticed"]), flush=True)
    for name, images in _not_photographs(plain, others):
        alarm_count = sum(map(_is_detected, images))
        figures["false_alarms"][name] = {"files": len(images), "taken for photographs": alarm_count}
        print(sources.row(name, figures["false_alarms"][name]), flush=True)
    if json_file:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _is_detected(picture: Image.Image) -> bool:
    return PHOTOGRAPH_OF_FILM in xray.find(picture).warnings


def _rectified(picture: Image.Image) -> Image.Image:
    """The X-ray in a photograph, rectified to a front view; the whole photograph if no sheet is found."""
    corners = photographs.find_sheet(picture)
    if corners is None:
        return picture
    return xray.without_borders(photographs.rectified(picture, corners))[0]


def _rectified_by_corners(picture: Image.Image, taken: Photograph) -> Image.Image:
    return photographs.rectified(picture, taken.corners)


def _not_photographs(plain: Sequence[Image.Image], others: Sequence[Path]) -> "list[tuple[str, list[Image.Image]]]":
    kinds = [("held-out patients", list(plain))]
    for kind in ("screenshot", "film edge", "letterbox 16:9, black"):
        rngs = (np.random.default_rng([3, number]) for number in range(len(plain)))
        kinds.append((kind, [bordered.KINDS[kind](image, rng) for image, rng in zip(plain, rngs, strict=True)]))
    for directory in others:
        kinds += [
            (source.name, [open_image(path.read_bytes()) for path in source.files])
            for source in sources.scan(directory)
        ]
    return kinds
