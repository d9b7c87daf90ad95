"""The pictures that the out-of-domain check is fitted and measured on (:mod:`ml.evaluation.novelty_report`)."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.dataset import data, external
from ml.errors import ImageError
from ml.evaluation import made_laterals
from ml.inference.novelty import Inputs
from ml.inference.predict import load_input
from ml.pictures import augment, out_of_domain, xray
from ml.pictures.preprocess import Preprocessing, to_input

#: The number of drawings of each kind, and of photographs.
DRAWN = 18
#: The number of held-out chests that are also shown turned and inverted, in every orientation.
TURNED = 30


@dataclass(frozen=True)
class Pictures:
    """The folders with pictures other than the training data. None leaves a folder out.

    Attributes:
        elsewhere: other hospitals' chests, with an ``index.csv`` (:mod:`ml.dataset.external`).
        not_chests: real pictures that are no frontal chests, with an ``index.csv`` that has the column ``file``.
        made: ``lateral/`` and ``frontal/``, from ``python -m ml laterals``.
        others: more pictures to measure on; each subfolder is a kind.
        features: a cache file for this bundle's features.
    """

    elsewhere: Path | None = None
    not_chests: Path | None = None
    made: Path | None = None
    others: Path | None = None
    features: Path | None = None


def random_subset(samples: list[data.Sample], limit: int, rng: np.random.Generator) -> list[data.Sample]:
    return samples if len(samples) <= limit else [samples[i] for i in sorted(rng.permutation(len(samples))[:limit])]


def inputs_of(
    samples: Sequence[data.Sample], spec: Preprocessing, strength: augment.Strength | None, seed: int, every: int = 1
) -> Inputs:
    """The samples as inputs. With a ``strength``, every ``every``-th image is perturbed."""
    inputs = []
    for index, sample in enumerate(samples):
        image = xray.load(sample.path.read_bytes())
        if strength and index % every == 0:
            inputs.append(augment.perturb(image, np.random.default_rng([seed, 2_000_000, index]), strength, spec))
        else:
            inputs.append(to_input(image, spec))
    return np.stack(inputs)


def elsewhere(pictures: Pictures, spec: Preprocessing) -> dict[str, Inputs]:
    """The chests of other hospitals by source, and the frontal ones made from a CT."""
    inputs_by_source: dict[str, list[Inputs]] = {}
    for chest in external.read(pictures.elsewhere) if pictures.elsewhere else ():
        inputs_by_source.setdefault(chest.source, []).append(load_input(chest.sample.path, spec))
    frontal = from_ct(pictures.made, made_laterals.FRONTAL, spec)
    by_source = {source: np.stack(inputs) for source, inputs in inputs_by_source.items()}
    return by_source if frontal is None else {**by_source, "a CT": frontal}


def patients(pictures: Pictures) -> dict[str, NDArray[np.str_]]:
    """The patient of each chest of another hospital, by source."""
    by_source: dict[str, list[str]] = {}
    for chest in external.read(pictures.elsewhere) if pictures.elsewhere else ():
        by_source.setdefault(chest.source, []).append(chest.sample.patient)
    return {source: np.array(patients) for source, patients in by_source.items()}


def from_ct(directory: Path | None, folder: str, spec: Preprocessing) -> Inputs | None:
    return np.stack([load_input(file, spec) for file in sorted((directory / folder).iterdir())]) if directory else None


def not_chests(directory: Path | None, spec: Preprocessing) -> tuple[Inputs, int]:
    """Real pictures that are no frontal chests, and the number of files that are refused as unreadable."""
    inputs, refused = [], 0
    if directory:
        with (directory / "index.csv").open(newline="") as stream:
            files = [directory / row["file"] for row in csv.DictReader(stream)]
        for file in files:
            try:
                inputs.append(load_input(file, spec))
            except ImageError:
                refused += 1
    return (np.stack(inputs) if inputs else np.empty((0, spec.size, spec.size), np.uint8)), refused


def turned(chests: Inputs, rng: np.random.Generator) -> dict[str, Inputs]:
    return out_of_domain.turned(chests[rng.permutation(len(chests))[:TURNED]])


def more(spec: Preprocessing, seed: int, others: Path | None) -> list[tuple[str, Inputs]]:
    kinds = [("photograph", out_of_domain.photographs(spec, DRAWN, seed))]
    for folder in sorted(path for path in others.iterdir() if path.is_dir()) if others else ():
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in data.SUFFIXES)
        if files:
            kinds.append((folder.name, np.stack([load_input(file, spec) for file in files])))
    return kinds
