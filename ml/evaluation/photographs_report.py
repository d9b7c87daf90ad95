"""Measure how well photographs of films and screens are noticed, and how well they are read."""

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
    """Photograph X-rays of held-out patients, and print what is noticed and what the model makes of them.

    Args:
        model: the bundle's folder.
        directory: its training data, of which patients whom its training held out are measured.
        also: folders of the same layout with other renditions.
        others: folders whose folders hold pictures of other sources, for false alarms.
        limit: held-out files of each class, one of each patient.
        json_file: where the figures go.

    Returns:
        ``noticed``: the share of photographs that each sign detects, and that the out-of-domain check flags.
        ``read``: the figures on the X-rays' own files; on photographs as they are; rectified by the sheet that was
        found; and by the corners that are known. ``false_alarms``: for each source files, and how many are taken for
        photographs.
    """
    reader = Reader(model)
    points = reader.bundle.thresholds
    samples = sources.held_out(reader.bundle, (directory, *also), limit)
    truth = np.array([sample.label for sample in samples])
    plain = [open_image(sample.path.read_bytes()) for sample in samples]
    taken = [photograph(image, np.random.default_rng([7, number])) for number, image in enumerate(plain)]
    pictures = [open_image(one.content) for one in taken]
    views = {
        "the X-rays' own files": plain,
        "photographs as they are": pictures,
        "rectified by the sheet found": [_rectified(picture) for picture in pictures],
        "rectified by the known corners": [_known(*pair) for pair in zip(pictures, taken, strict=True)],
    }
    found: dict[str, Any] = {"model": reader.bundle.id, "read": {}, "false_alarms": {}}
    probabilities = {}
    for name, shown in views.items():
        probabilities[name], flagged = reader.read(shown)
        moved = (probabilities[name] >= reader.bundle.threshold) != (
            probabilities["the X-rays' own files"] >= reader.bundle.threshold
        )
        found["read"][name] = {
            **sources.figures(truth, probabilities[name], points),
            "labels changed": int(moved.sum()),
            "flagged": round(float(flagged.mean()), 4),
        }
        print(sources.row(name, found["read"][name]), flush=True)
    grey = np.array([picture.info["colour"] is None for picture in pictures])
    detected = {
        "any": np.array([_is_detected(picture) for picture in pictures]),
        "colour": np.array([photographs.has_colour(picture.info["colour"]) for picture in pictures]),
        "a sheet": np.array([photographs.find_sheet(picture) is not None for picture in pictures]),
    }
    found["noticed"] = {
        "n": len(pictures),
        **{f"by {name}": round(float(hits.mean()), 4) for name, hits in detected.items()},
        "in greyscale": int(grey.sum()),
        "of those in greyscale": round(float(detected["any"][grey].mean()), 4) if grey.any() else 0.0,
    }
    print(sources.row("noticed", found["noticed"]), flush=True)
    for name, shown in _not_photographs(plain, others):
        found_count = sum(map(_is_detected, shown))
        found["false_alarms"][name] = {"files": len(shown), "taken for photographs": found_count}
        print(sources.row(name, found["false_alarms"][name]), flush=True)
    if json_file:
        json_file.write_text(json.dumps(found, indent=2) + "\n")
    return found


def _is_detected(picture: Image.Image) -> bool:
    return PHOTOGRAPH_OF_FILM in xray.find(picture).warnings


def _rectified(picture: Image.Image) -> Image.Image:
    """The X-ray in a photograph, as seen from the front; the whole photograph where no sheet is found."""
    corners = photographs.find_sheet(picture)
    if corners is None:
        return picture
    return xray.without_borders(photographs.rectified(picture, corners))[0]


def _known(picture: Image.Image, taken: Photograph) -> Image.Image:
    return photographs.rectified(picture, taken.corners)


def _not_photographs(plain: Sequence[Image.Image], others: Sequence[Path]) -> "list[tuple[str, list[Image.Image]]]":
    found = [("held-out patients", list(plain))]
    for kind in ("screenshot", "film edge", "letterbox 16:9, black"):
        rngs = (np.random.default_rng([3, number]) for number in range(len(plain)))
        found.append((kind, [bordered.KINDS[kind](image, rng) for image, rng in zip(plain, rngs, strict=True)]))
    for directory in others:
        found += [(one.name, [open_image(path.read_bytes()) for path in one.files]) for one in sources.scan(directory)]
    return found
