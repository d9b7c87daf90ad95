"""Measure what cutting borders does: on X-rays as they are, and on X-rays with borders around them."""

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
    """A bundle that reads pictures as they are, and inside their borders. The same input is read once."""

    def __init__(self, model: Path) -> None:
        self.bundle = Bundle.read(model)
        self.engine, self.check = engines.load(model), novelty.load(self.bundle)
        self.known: dict[bytes, tuple[float, bool]] = {}

    def read(self, pictures: Sequence[Image.Image]) -> tuple[Values, Values]:
        """The probability of each, and whether the check flags it."""
        inputs = [to_input(picture, self.bundle.preprocessing) for picture in pictures]
        new = {one.tobytes(): one for one in inputs if one.tobytes() not in self.known}
        if (found := readings(self.engine, list(new.values()))) is not None:
            flagged = novelty.warnings_of(self.check, found.features, np.stack(list(new.values())))
            pairs = zip(found.probabilities[:, 1].tolist(), map(bool, flagged), strict=True)
            self.known |= dict(zip(new, pairs, strict=True))
        answers = [self.known[one.tobytes()] for one in inputs]
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
    """Read X-rays with and without the cut of their borders and print what changes.

    Args:
        model: the bundle's folder.
        directory: its training data, of which patients whom its training held out are measured.
        also: folders of the same layout with other renditions.
        others: a folder whose folders hold other hospitals' X-rays.
        limit: held-out files of each class, one of each patient.
        bordered_limit: how many of each class get every kind of border.
        json_file: where the figures go.

    Returns:
        ``plain``: for each source the number of files, of those that are cut, the share of the area cut off, the
        figures and flags before and after, and the labels changed. ``bordered``: for each kind of border the labels
        changed, the mean and the largest change of the probability, both without and with the cut.
    """
    reader = Reader(model)
    samples = sources.held_out(reader.bundle, (directory, *also), limit)
    held = sources.Source("held-out patients", [s.path for s in samples], np.array([s.label for s in samples]))
    found: dict[str, Any] = {"model": reader.bundle.id, "plain": {}, "bordered": {}}
    for source in (held, *(sources.scan(others) if others else ())):
        found["plain"][source.name] = about = _plain(reader, source)
        print(sources.row(source.name, {k: v for k, v in about.items() if not isinstance(v, dict)}), flush=True)
        for name in ("before", "after"):
            print(sources.row(f"  {name}", about[name]), flush=True)
    few = [s.path for label in (0, 1) for s in [s for s in samples if s.label == label][:bordered_limit]]
    pictures = [open_image(path.read_bytes()) for path in few]
    plain, _ = reader.read([xray.without_borders(picture)[0] for picture in pictures])
    for number, (kind, add) in enumerate(bordered.KINDS.items()):
        rngs = (np.random.default_rng([number, place]) for place in range(len(pictures)))
        framed = [_as_jpeg(add(picture, rng)) for picture, rng in zip(pictures, rngs, strict=True)]
        found["bordered"][kind] = about = {
            **_moved(reader, "without", plain, reader.read(framed)[0]),
            **_moved(reader, "with", plain, reader.read([xray.without_borders(one)[0] for one in framed])[0]),
        }
        print(sources.row(kind, about), flush=True)
    if json_file:
        json_file.write_text(json.dumps(found, indent=2) + "\n")
    return found


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


def _moved(reader: Reader, name: str, plain: Values, probability: Values) -> dict[str, float]:
    apart, threshold = np.abs(probability - plain), reader.bundle.threshold
    return {
        f"labels changed {name}": int(((plain >= threshold) != (probability >= threshold)).sum()),
        f"mean change {name}": round(float(apart.mean()), 4),
        f"largest change {name}": round(float(apart.max()), 4),
    }


def _as_jpeg(picture: Image.Image) -> Image.Image:
    return CHANGES["JPEG quality 95"](picture, np.random.default_rng(0))
