"""Measure the effect of cutting off borders, on X-rays as they are and on X-rays with added borders."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.bundles.bundle import Bundle
from ml.evaluation import bordered, sources
from ml.evaluation.robustness import CHANGES
from ml.inference import engines, novelty
from ml.inference.predict import readings
from ml.pictures import xray
from ml.pictures.decode import open_image
from ml.pictures.preprocess import to_input

Values = NDArray[Any]


class Reader:
    """Reads pictures with a bundle, and reads the same input only once."""

    def __init__(self, model: Path) -> None:
        self.bundle = Bundle.read(model)
        self.engine, self.check = engines.load(model), novelty.load(self.bundle)
        self.cache: dict[bytes, tuple[float, bool]] = {}

    def read(self, pictures: Sequence[Image.Image]) -> tuple[Values, Values]:
        """The probability of each picture, and whether the out-of-domain check flags it."""
        inputs = [to_input(picture, self.bundle.preprocessing) for picture in pictures]
        new = {image.tobytes(): image for image in inputs if image.tobytes() not in self.cache}
        if (outputs := readings(self.engine, list(new.values()))) is not None:
            flagged = novelty.warnings_of(self.check, outputs.features, np.stack(list(new.values())))
            pairs = zip(outputs.probabilities[:, 1].tolist(), map(bool, flagged), strict=True)
            self.cache |= dict(zip(new, pairs, strict=True))
        answers = [self.cache[image.tobytes()] for image in inputs]
        return np.array([p for p, _ in answers]), np.array([flag for _, flag in answers])


def report(
    model: Path,
    directory: Path,
    *,
    also: Sequence[Path] = (),
    others: Path | None = None,
    limit: int = 150,
    bordered_limit: int = 20,
    json_file: Path | None = None,
) -> dict[str, Any]:
    """Read X-rays with and without cutting off their borders, and print what changes.

    Args:
        model: the bundle's folder.
        directory: its training data; the patients that its training held out are used.
        also: folders of the same layout with other renditions.
        others: a folder with a subfolder for each other hospital's X-rays.
        limit: the number of held-out files of each class, one per patient.
        bordered_limit: the number of these files, of each class, that get every kind of border.
        json_file: a file for the figures.

    Returns:
        ``plain``: for each source the number of files, the number that is cut, the share of the area cut off, the
        figures and flags before and after, and the labels changed. ``bordered``: for each kind of border, without and
        with cutting, the labels changed and the mean and the largest change of the probability.
    """
    reader = Reader(model)
    samples = sources.held_out(reader.bundle, (directory, *also), limit)
    held = sources.Source("held-out patients", [s.path for s in samples], np.array([s.label for s in samples]))
    figures: dict[str, Any] = {"model": reader.bundle.id, "plain": {}, "bordered": {}}
    for source in (held, *(sources.scan(others) if others else ())):
        figures["plain"][source.name] = row = _plain(reader, source)
        print(sources.row(source.name, {k: v for k, v in row.items() if not isinstance(v, dict)}), flush=True)
        for name in ("before", "after"):
            print(sources.row(f"  {name}", row[name]), flush=True)
    bordered_files = [s.path for label in (0, 1) for s in [s for s in samples if s.label == label][:bordered_limit]]
    pictures = [open_image(path.read_bytes()) for path in bordered_files]
    plain, _ = reader.read([xray.without_borders(picture)[0] for picture in pictures])
    for number, (kind, add) in enumerate(bordered.KINDS.items()):
        rngs = (np.random.default_rng([number, index]) for index in range(len(pictures)))
        framed = [_as_jpeg(add(picture, rng)) for picture, rng in zip(pictures, rngs, strict=True)]
        figures["bordered"][kind] = row = {
            **_changes(reader, "without", plain, reader.read(framed)[0]),
            **_changes(reader, "with", plain, reader.read([xray.without_borders(image)[0] for image in framed])[0]),
        }
        print(sources.row(kind, row), flush=True)
    if json_file:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _plain(reader: Reader, source: sources.Source) -> dict[str, Any]:
    pictures = [open_image(path.read_bytes()) for path in source.files]
    inside = [xray.without_borders(picture)[0] for picture in pictures]
    areas = np.array([1 - a.width * a.height / (b.width * b.height) for a, b in zip(inside, pictures, strict=True)])
    cut = areas > 0
    (before, flagged), (after, still_flagged) = reader.read(pictures), reader.read(inside)
    points = reader.bundle.thresholds
    return {
        "files": len(pictures),
        "cut": int(cut.sum()),
        "median share cut off": round(float(np.median(areas[cut])), 4) if cut.any() else 0.0,
        "largest share cut off": round(float(areas.max()), 4),
        **{
            f"labels changed, {name}": int(((before >= threshold) != (after >= threshold)).sum())
            for name, threshold in points.items()
        },
        "before": {**sources.figures(source.truth, before, points), "flagged": round(float(flagged.mean()), 4)},
        "after": {**sources.figures(source.truth, after, points), "flagged": round(float(still_flagged.mean()), 4)},
    }


def _changes(reader: Reader, name: str, plain: Values, probability: Values) -> dict[str, float]:
    differences, threshold = np.abs(probability - plain), reader.bundle.threshold
    return {
        f"labels changed {name}": int(((plain >= threshold) != (probability >= threshold)).sum()),
        f"mean change {name}": round(float(differences.mean()), 4),
        f"largest change {name}": round(float(differences.max()), 4),
    }


def _as_jpeg(picture: Image.Image) -> Image.Image:
    return CHANGES["JPEG quality 95"](picture, np.random.default_rng(0))
