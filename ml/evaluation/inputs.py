"""Describe a network's training X-rays, so that incoming X-rays can be compared with them later."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.inference import engines, novelty
from ml.pictures import xray
from ml.pictures.preprocess import brightness, to_input

#: The edges of each feature's histogram; the first and the last bin are open-ended. The web process has its own copy
#: (``webapp/agreement/features.py``); a test compares the two.
EDGES: dict[str, tuple[float, ...]] = {
    "brightness": (40, 60, 80, 100, 120, 140, 160, 180, 200),
    "side": (256, 512, 768, 1024, 1536, 2048, 3072, 4096),
    "distance": (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0),
}
MOST = 800


def write(model: Path, directory: Path, also: Sequence[Path] = ()) -> Bundle:
    """Measure a bundle's training X-rays and write the figures into the bundle.

    The distance is measured on patients that the training held out, because training images look nearer to the network
    than any images that come later.

    Args:
        model: the bundle's folder.
        directory: its training data, with the folders ``NORMAL/`` and ``PNEUMONIA/``.
        also: folders of the same layout with other renditions.

    Returns:
        The changed bundle.
    """
    bundle = Bundle.read(model)
    samples = [sample for folder in (directory, *also) for sample in data.scan(folder)]
    recipe = bundle.meta.get("training", {}).get("recipe", {})
    seed = int(recipe.get("seed", 7))
    training, held = data.split(samples, float(recipe.get("held_out", 0.12)), seed)
    pictures = [xray.load(sample.path.read_bytes()) for sample in _sample(training, seed)]
    values = {
        "brightness": [brightness(picture) for picture in pictures],
        "side": [float(np.sqrt(picture.width * picture.height)) for picture in pictures],
    }
    if check := novelty.load(bundle):
        spec, chosen = bundle.preprocessing, _sample(held, seed)
        inputs = np.stack([to_input(xray.load(sample.path.read_bytes()), spec) for sample in chosen])
        features = novelty.features_of(engines.load(model), inputs)
        values["distance"] = [distance for distance in novelty.distances_of(check, features) if distance is not None]
    figures = {name: histogram(name, feature_values) for name, feature_values in values.items()}
    (bundle.path / "bundle.json").write_text(json.dumps({**bundle.meta, "inputs": figures}, indent=2) + "\n")
    return Bundle.read(bundle.path)


def histogram(name: str, values: Sequence[float]) -> dict[str, Any]:
    """The number of values in each bin of a feature. A value on an edge belongs to the bin above it."""
    bins = np.searchsorted(EDGES[name], values, side="right")
    return {"edges": list(EDGES[name]), "counts": np.bincount(bins, minlength=len(EDGES[name]) + 1).tolist()}


def _sample(samples: list[data.Sample], seed: int) -> list[data.Sample]:
    chosen = np.random.default_rng(seed).permutation(len(samples))[:MOST]
    return [samples[i] for i in sorted(chosen)]
