"""Measure a bundle on other hospitals' chests and on its own held-out patients, and write the figures into it."""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.dataset import data, external
from ml.evaluation import card, elsewhere
from ml.evaluation.elsewhere import Chests
from ml.evaluation.elsewhere_adapted import adapted
from ml.inference import engines, evidence, lungs, novelty
from ml.inference.engines import Engine
from ml.inference.engines.head import log_odds
from ml.inference.engines.trunk import TrunkEngine
from ml.inference.heatmaps import to_bytes
from ml.inference.predict import probabilities, readings
from ml.pictures import xray
from ml.pictures.preprocess import Preprocessing, to_input
from ml.statistics.calibration import logit

OWN = "held-out patients of its own hospital"
#: The collection that has normal and abnormal chests of one hospital.
NIH = "nih_chestxray14"
#: Files of held-out patients.
MOST = 400
#: The parts of each side that are cut off to frame a picture otherwise: left, top, right, bottom.
FRAMED = ((0.05, 0.05, 0.05, 0.05), (0.06, 0.0, 0.0, 0.06))


def report(model: Path, directory: Path, elsewhere_directory: Path, *, also: Sequence[Path] = ()) -> dict[str, Any]:
    """Measure, print, and put the figures into ``bundle.json`` and the card.

    Args:
        model: the bundle's folder.
        directory: its training data, holding ``NORMAL/`` and ``PNEUMONIA/``.
        elsewhere_directory: other hospitals' chests, with an ``index.csv``.
        also: folders of the same layout as ``directory``, with other renditions.

    Returns:
        What ``bundle.json`` has as ``elsewhere``.

    Raises:
        ValueError: where the bundle has learnt from other hospitals' chests.
    """
    bundle = Bundle.read(model)
    if bundle.meta.get("training", {}).get("external"):
        raise ValueError(
            f"{bundle.id} has learnt from other hospitals' chests: measure trainings that held them out (ml folds)"
        )
    engine = engines.load(model)
    samples = [sample for folder in (directory, *also) for sample in data.scan(folder)]
    held = data.split_as(bundle.meta.get("training", {}).get("recipe", {}), samples)[1]
    chosen = np.random.default_rng(1).permutation(len(held))[:MOST]
    own = read(bundle, engine, [held[index] for index in sorted(chosen)])
    chests = external.read(elsewhere_directory)
    other = read(bundle, engine, [chest.sample for chest in chests])
    figures = measure(bundle, own, other, chests)
    print(json.dumps(figures, indent=1))
    (bundle.path / "bundle.json").write_text(json.dumps({**bundle.meta, "elsewhere": figures}, indent=2) + "\n")
    card.refresh(Bundle.read(model))
    return figures


def measure(bundle: Bundle, own: Chests, other: Chests, chests: Sequence[external.Chest]) -> dict[str, Any]:
    """All figures of :mod:`ml.evaluation.elsewhere`, by origin.

    Args:
        bundle: what read them.
        own: held-out patients.
        other: what it says of ``chests``.
        chests: of other hospitals.
    """
    source, quality = (np.array([getattr(chest, name) for chest in chests]) for name in ("source", "quality"))
    expert = (source == NIH) & (quality == external.EXPERT)
    groups = {OWN: own}
    groups |= {name: part(other, source == name) for name in sorted(set(source.tolist()))}
    if expert.any():
        groups[f"{NIH}, read by radiologists"] = part(other, expert)
    at = bundle.threshold
    found: dict[str, Any] = {
        "at": bundle.operating_point,
        "origins": {
            name: {"answers": elsewhere.answers(group, at), "evidence": elsewhere.evidence(group, at)}
            for name, group in groups.items()
        },
        "coverage": {
            name: elsewhere.coverage(group, at) for name, group in groups.items() if set(group.truth.tolist()) >= {0, 1}
        },
    }
    if NIH in found["coverage"]:
        found["calibrated"] = {NIH: elsewhere.calibrated(groups[NIH], at)}
    if NIH in found["coverage"] and other.hidden.size:
        weights = bundle.weights()
        found["adapted"] = {
            name: adapted(group.truth, log_odds(weights, group.hidden), group.hidden.astype(np.float64), group.patient)
            for name, group in groups.items()
            if name.startswith(NIH)
        }
    return found


def part(chests: Chests, chosen: NDArray[np.bool_]) -> Chests:
    """Those of them that are chosen."""
    return Chests(**{field.name: getattr(chests, field.name)[chosen] for field in fields(chests)})


def read(bundle: Bundle, engine: Engine, samples: Sequence[data.Sample]) -> Chests:
    """What a bundle says of files, as they are and framed otherwise."""
    spec = bundle.preprocessing
    framed: list[list[NDArray[np.uint8]]] = [_framed(sample, spec) for sample in samples]
    inputs = np.stack([each[0] for each in framed])
    found = readings(engine, list(inputs))
    if found is None:
        raise ValueError("there are no chests to measure on")
    ways = [
        found.probabilities[:, 1],
        *(probabilities(engine, list(way)) for way in list(zip(*framed, strict=True))[1:]),
    ]
    maps, masks = to_bytes(found.maps), lungs.masks(inputs)
    check = novelty.load(bundle)
    distances = np.array([np.nan if one is None else one for one in novelty.distances_of(check, found.features)])
    return Chests(
        np.array([sample.label for sample in samples]),
        found.probabilities[:, 1].astype(np.float64),
        np.array([sample.patient for sample in samples]),
        distances,
        np.std([logit(way) for way in ways], axis=0),
        evidence.share_inside(maps, masks),
        evidence.peak_inside(maps, evidence.near(masks) >= 0.5),
        engine.hidden(inputs) if isinstance(engine, TrunkEngine) else np.zeros((len(inputs), 0), np.float32),
    )


def _framed(sample: data.Sample, spec: Preprocessing) -> list[NDArray[np.uint8]]:
    """A file's input, and those of the same picture framed otherwise."""
    image = xray.load(sample.path.read_bytes())
    width, height = image.size
    boxes = [
        (int(width * left), int(height * top), int(width * (1 - right)), int(height * (1 - bottom)))
        for left, top, right, bottom in FRAMED
    ]
    return [to_input(image, spec), *(to_input(image.crop(box), spec) for box in boxes)]
