"""Measure a bundle by groups of patients, draw where it fails, and write both into it and its card."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml.bundles.bundle import Bundle
from ml.dataset import data, external
from ml.dataset.external import Chest
from ml.evaluation import card, failures, folds_intervals, groups, sources
from ml.evaluation.elsewhere_report import OWN
from ml.evaluation.failures import Read
from ml.inference import engines, lungs
from ml.inference.engines import Engine
from ml.inference.heatmaps import to_bytes
from ml.inference.predict import load_input, readings

#: Beside the card, because figures/ may be a link to an earlier bundle's.
DRAWING = "failures.svg"


def report(model: Path, directory: Path, elsewhere_directory: Path, *, also: Sequence[Path] = ()) -> dict[str, Any]:
    """Measure a bundle on held-out patients, one image each, and on other hospitals' patients that it never saw.

    Args:
        model: the bundle's folder.
        directory: its training data, with the folders ``NORMAL/`` and ``PNEUMONIA/``.
        elsewhere_directory: other hospitals' chests, with an ``index.csv``.
        also: folders of the same layout as ``directory``, with other renditions.

    Returns:
        The entry ``groups`` of ``bundle.json``.
    """
    bundle, chests = Bundle.read(model), external.read(elsewhere_directory)
    unseen = never_seen(bundle, chests)
    engine = engines.load(model)
    own = read(bundle, engine, sources.held_out(bundle, (directory, *also), sys.maxsize))
    other = read(bundle, engine, [chest.sample for chest in unseen])
    return write(bundle, own, other, unseen, chests)


def never_seen(bundle: Bundle, chests: Sequence[Chest]) -> list[Chest]:
    """The chests of patients whom the bundle has not learnt from.

    Raises:
        ValueError: if the bundle has learnt from other chests than the labelled ones of these.
    """
    learnt = bundle.meta.get("training", {}).get("external")
    if not learnt:
        return list(chests)
    labelled = [chest for chest in chests if chest.sample.label != external.UNKNOWN]
    if Counter(chest.source for chest in labelled) != learnt:
        raise ValueError(f"{bundle.id} has learnt from other chests, so it is not known which of these it has seen")
    patients = {chest.sample.patient for chest in labelled}
    return [chest for chest in chests if chest.sample.patient not in patients]


def read(bundle: Bundle, engine: Engine, samples: Sequence[data.Sample]) -> Read:
    """A bundle's answers for files."""
    inputs = [load_input(sample.path, bundle.preprocessing) for sample in samples]
    outputs = readings(engine, inputs)
    if outputs is None:
        raise ValueError("there are no chests to measure on")
    return Read(
        np.array([sample.label for sample in samples]),
        outputs.probabilities[:, 1].astype(np.float64),
        np.array([sample.patient for sample in samples]),
        to_bytes(outputs.maps),
        lungs.masks(np.stack(inputs)),
    )


def write(bundle: Bundle, own: Read, other: Read, unseen: Sequence[Chest], chests: Sequence[Chest]) -> dict[str, Any]:
    """Write the figures into ``bundle.json``, the drawing and the card.

    Args:
        bundle: the bundle.
        own: its answers for held-out patients.
        other: its answers for ``unseen``.
        unseen: other hospitals' chests that it has not learnt from.
        chests: all of these hospitals' chests.
    """
    found = {
        **failures.kinds(own, {OWN: np.full(len(own.truth), True)}, bundle.threshold),
        **failures.kinds(other, groups.by_source(unseen), bundle.threshold, groups.something_else(unseen)),
    }
    figures = {
        "at": bundle.operating_point,
        "small_children": groups.small_children(chests),
        **groups.figures(unseen, other.probability, bundle.thresholds),
        "failures": {name: failed.counts for name, failed in found.items()},
    }
    (bundle.path / DRAWING).write_text(failures.drawing(found))
    meta = {**bundle.meta, "groups": figures}
    if "folds" in meta:
        meta["folds"]["intervals"] = folds_intervals.intervals(meta["folds"]["figures"], chests)
    (bundle.path / "bundle.json").write_text(json.dumps(meta, indent=2) + "\n")
    card.refresh(Bundle.read(bundle.path))
    return figures
