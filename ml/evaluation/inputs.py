"""What the X-rays that a network learnt from look like, for comparing what comes in later with them."""

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

#: Where the parts of each feature's range begin and end, the first and the last part being open. The web process has
#: them once more (``webapp/agreement/features.py``); a test compares the two.
EDGES: dict[str, tuple[float, ...]] = {
    "brightness": (40, 60, 80, 100, 120, 140, 160, 180, 200),
    "side": (256, 512, 768, 1024, 1536, 2048, 3072, 4096),
    "distance": (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0),
}
MOST = 800


def write(model: Path, directory: Path, also: Sequence[Path] = ()) -> Bundle:
    """Measure a bundle's training X-rays and put the figures into the bundle.

    The distance is measured on patients whom the training held out: to a network, what it has learnt looks nearer than
    anything that comes later.

    Args:
        model: the bundle's folder.
        directory: its training data, holding ``NORMAL/`` and ``PNEUMONIA/``.
        also: folders of the same layout with other renditions.

    Returns:
        The bundle as it is now.
    """
    bundle = Bundle.read(model)
    samples = [sample for folder in (directory, *also) for sample in data.scan(folder)]
    recipe = bundle.meta.get("training", {}).get("recipe", {})
    seed = int(recipe.get("seed", 7))
    training, held = data.split(samples, float(recipe.get("held_out", 0.12)), seed)
    pictures = [xray.load(sample.path.read_bytes()) for sample in _some(training, seed)]
    values = {
        "brightness": [brightness(picture) for picture in pictures],
        "side": [float(np.sqrt(picture.width * picture.height)) for picture in pictures],
    }
    if check := novelty.load(bundle):
        spec, chosen = bundle.preprocessing, _some(held, seed)
        inputs = np.stack([to_input(xray.load(sample.path.read_bytes()), spec) for sample in chosen])
        features = novelty.features_of(engines.load(model), inputs)
        values["distance"] = [distance for distance in novelty.distances_of(check, features) if distance is not None]
    figures = {name: histogram(name, found) for name, found in values.items()}
    (bundle.path / "bundle.json").write_text(json.dumps({**bundle.meta, "inputs": figures}, indent=2) + "\n")
    return Bundle.read(bundle.path)


def histogram(name: str, values: Sequence[float]) -> dict[str, Any]:
    """How many values lie in each part of a feature's range; one on an edge belongs to the part above it."""
    places = np.searchsorted(EDGES[name], values, side="right")
    return {"edges": list(EDGES[name]), "counts": np.bincount(places, minlength=len(EDGES[name]) + 1).tolist()}


def _some(samples: list[data.Sample], seed: int) -> list[data.Sample]:
    chosen = np.random.default_rng(seed).permutation(len(samples))[:MOST]
    return [samples[i] for i in sorted(chosen)]
