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
#: The collection with normal and abnormal chests from one hospital.
NIH = "nih_chestxray14"
#: The largest number of held-out patients' files.
MOST = 400
#: The shares that are cut off on the left, top, right and bottom to frame a picture differently.
FRAMED = ((0.05, 0.05, 0.05, 0.05), (0.06, 0.0, 0.0, 0.06))


def report(model: Path, directory: Path, elsewhere_directory: Path, *, also: Sequence[Path] = ()) -> dict[str, Any]:
    """Measure the bundle, print the figures, and write them into ``bundle.json`` and the card.

    Args:
        model: the bundle's folder.
        directory: its training data, with the folders ``NORMAL/`` and ``PNEUMONIA/``.
        elsewhere_directory: other hospitals' chests, with an ``index.csv``.
        also: folders of the same layout as ``directory``, with other renditions.

    Returns:
        The entry ``elsewhere`` of ``bundle.json``.

    Raises:
        ValueError: if the bundle was trained on other hospitals' chests.
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
        bundle: the bundle that read the chests.
        own: its answers for held-out patients.
        other: its answers for ``chests``.
        chests: the chests of other hospitals.
    """
    source, quality = (np.array([getattr(chest, name) for chest in chests]) for name in ("source", "quality"))
    expert = (source == NIH) & (quality == external.EXPERT)
    groups = {OWN: own}
    groups |= {name: part(other, source == name) for name in sorted(set(source.tolist()))}
    if expert.any():
        groups[f"{NIH}, read by radiologists"] = part(other, expert)
    threshold = bundle.threshold
    figures: dict[str, Any] = {
        "at": bundle.operating_point,
        "origins": {
            name: {"answers": elsewhere.answers(group, threshold), "evidence": elsewhere.evidence(group, threshold)}
            for name, group in groups.items()
        },
        "coverage": {
            name: elsewhere.coverage(group, threshold)
            for name, group in groups.items()
            if set(group.truth.tolist()) >= {0, 1}
        },
    }
    if NIH in figures["coverage"]:
        figures["calibrated"] = {NIH: elsewhere.calibrated(groups[NIH], threshold)}
    if NIH in figures["coverage"] and other.hidden.size:
        weights = bundle.weights()
        figures["adapted"] = {
            name: adapted(group.truth, log_odds(weights, group.hidden), group.hidden.astype(np.float64), group.patient)
            for name, group in groups.items()
            if name.startswith(NIH)
        }
    return figures


def part(chests: Chests, chosen: NDArray[np.bool_]) -> Chests:
    """The chosen chests."""
    return Chests(**{field.name: getattr(chests, field.name)[chosen] for field in fields(chests)})


def read(bundle: Bundle, engine: Engine, samples: Sequence[data.Sample]) -> Chests:
    """A bundle's answers for files, as they are and framed differently."""
    spec = bundle.preprocessing
    framed: list[list[NDArray[np.uint8]]] = [_framed(sample, spec) for sample in samples]
    inputs = np.stack([crops[0] for crops in framed])
    outputs = readings(engine, list(inputs))
    if outputs is None:
        raise ValueError("there are no chests to measure on")
    probabilities_by_framing = [
        outputs.probabilities[:, 1],
        *(probabilities(engine, list(framed_inputs)) for framed_inputs in list(zip(*framed, strict=True))[1:]),
    ]
    maps, masks = to_bytes(outputs.maps), lungs.masks(inputs)
    check = novelty.load(bundle)
    distances = np.array(
        [np.nan if distance is None else distance for distance in novelty.distances_of(check, outputs.features)]
    )
    return Chests(
        np.array([sample.label for sample in samples]),
        outputs.probabilities[:, 1].astype(np.float64),
        np.array([sample.patient for sample in samples]),
        distances,
        np.std([logit(framed_inputs) for framed_inputs in probabilities_by_framing], axis=0),
        evidence.share_inside(maps, masks),
        evidence.peak_inside(maps, evidence.near(masks) >= 0.5),
        engine.hidden(inputs) if isinstance(engine, TrunkEngine) else np.zeros((len(inputs), 0), np.float32),
    )


def _framed(sample: data.Sample, spec: Preprocessing) -> list[NDArray[np.uint8]]:
    """The input from a file, and the inputs from the same picture framed differently."""
    image = xray.load(sample.path.read_bytes())
    width, height = image.size
    boxes = [
        (int(width * left), int(height * top), int(width * (1 - right)), int(height * (1 - bottom)))
        for left, top, right, bottom in FRAMED
    ]
    return [to_input(image, spec), *(to_input(image.crop(box), spec) for box in boxes)]
