"""Fit a bundle's check for other pictures and measure it on every kind of picture that it should tell apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ml import augment, card, data, engines, novelty, strangers
from ml.bundle import Bundle
from ml.decode import open_image
from ml.novelty import Check, Features, Inputs
from ml.predict import load_input
from ml.preprocess import Preprocessing, to_input

#: Drawings of each kind, and photographs.
DRAWN = 60


def report(
    model: Path, directory: Path, *, also: Sequence[Path] = (), others: Path | None = None, write: bool = False
) -> dict[str, Any]:
    """Fit the check, measure it and print what it flags. Takes some minutes on two cores.

    Args:
        model: the bundle's folder.
        directory: the training data, holding ``NORMAL/`` and ``PNEUMONIA/``.
        also: folders of the same layout with other renditions.
        others: a folder with more pictures to measure on, each of its own folders being a kind.
        write: put the check into the bundle.

    Returns:
        What ``bundle.json`` has as ``novelty``, less the file: the numbers of images, the share of flagged ones by
        kind, how many of them by their distance, and each kind's median distance
        in thresholds.

    Raises:
        BundleError: where the bundle cannot be used.
        FileNotFoundError: where a class has no images.
    """
    bundle = Bundle.read(model)
    engine, spec = engines.load(model), bundle.preprocessing
    samples = [sample for folder in (directory, *also) for sample in data.scan(folder)]
    # The patients that the network's training held out.
    recipe = bundle.meta.get("training", {}).get("recipe", {})
    seed = int(recipe.get("seed", 7))
    training, held = data.split(samples, float(recipe.get("held_out", 0.12)), seed)
    rng = np.random.default_rng(seed)
    # Half of them plain, half changed as while training: uploads differ from this data's images.
    known = _inputs(_some(training, novelty.MOST_TRAINING, rng), spec, augment.Strength(), seed, every=2)
    held = _some(held, novelty.MOST_HELD_OUT // 2, rng)
    plain, perturbed = _inputs(held, spec, None, seed), _inputs(held, spec, augment.HARD, seed)
    features = {
        "held out": novelty.features_of(engine, plain),
        "held out, perturbed": novelty.features_of(engine, perturbed),
    }
    wrong = {kind: novelty.features_of(engine, inputs) for kind, inputs in _turned(plain, rng).items()}
    check = novelty.fit(
        novelty.features_of(engine, known),
        np.concatenate(list(features.values())),
        np.concatenate([novelty.features_of(engine, inputs) for inputs in _turned(known, rng).values()]),
        np.concatenate(list(wrong.values())),
    )
    figures: dict[str, Any] = {
        "training_images": len(known),
        "held_out_images": len(plain) + len(perturbed),
        "accepted": novelty.ACCEPTED,
        "flagged_held_out_by_other_half": _crosswise(check, features, [sample.patient for sample in held], seed),
        "kinds": {kind: _kind(check, found) for kind, found in {**features, **wrong}.items()},
    }
    for kind, inputs in _strangers(spec, seed, others):
        found = novelty.features_of(engine, inputs)
        flagged = np.array([bool(said) for said in check.warnings(found, inputs)])
        figures["kinds"][kind] = {**_kind(check, found), "flagged": round(float(flagged.mean()), 4)}
    print(text(bundle.id, check, figures))
    if write:
        card.refresh(novelty.save(bundle, check, figures))
    return figures


def text(name: str, check: Check, figures: dict[str, Any]) -> str:
    """The figures for people."""
    rows = "\n".join(
        f"  {kind:<24} {about['n']:>5} {about['flagged']:>9.1%} {about['far']:>9.1%} {about['median']:>9.2f}"
        for kind, about in figures["kinds"].items()
    )
    return (
        f"{name}: {len(check.axes)} components of {figures['training_images']} images, "
        f"threshold {check.threshold:.2f}\n"
        f"  {'kind':<24} {'n':>5} {'flagged':>9} {'far':>9} {'distance':>9}  (median, in thresholds)\n{rows}\n"
        f"  With the threshold from the other half of the held-out patients: "
        f"{100 * figures['flagged_held_out_by_other_half']:.2f} % of held-out images flagged"
    )


def _some(samples: list[data.Sample], most: int, rng: np.random.Generator) -> list[data.Sample]:
    return samples if len(samples) <= most else [samples[i] for i in sorted(rng.permutation(len(samples))[:most])]


def _inputs(
    samples: Sequence[data.Sample], spec: Preprocessing, strength: augment.Strength | None, seed: int, every: int = 1
) -> Inputs:
    """The samples' inputs, ``every`` second one (say) perturbed with this strength."""
    made = []
    for index, sample in enumerate(samples):
        image = open_image(sample.path.read_bytes())
        if strength and index % every == 0:
            made.append(augment.perturb(image, np.random.default_rng([seed, 2_000_000, index]), strength, spec))
        else:
            made.append(to_input(image, spec))
    return np.stack(made)


def _turned(chests: Inputs, rng: np.random.Generator) -> dict[str, Inputs]:
    return strangers.turned(chests[rng.permutation(len(chests))[: novelty.MOST_TURNED]])


def _strangers(spec: Preprocessing, seed: int, others: Path | None) -> list[tuple[str, Inputs]]:
    kinds = list(strangers.drawn(spec, DRAWN, seed).items())
    kinds.append(("photograph", strangers.photographs(spec, DRAWN, seed)))
    for folder in sorted(path for path in others.iterdir() if path.is_dir()) if others else ():
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in data.SUFFIXES)
        if files:
            kinds.append((folder.name, np.stack([load_input(file, spec) for file in files])))
    return kinds


def _kind(check: Check, features: Features) -> dict[str, float]:
    far, turned = check.flags(features)
    return {
        "n": len(features),
        "flagged": round(float((far | turned).mean()), 4),
        "far": round(float(far.mean()), 4),
        "median": round(float(np.median(check.distances(features))) / check.threshold, 3),
    }


def _crosswise(check: Check, features: dict[str, Features], patients: Sequence[str], seed: int) -> float:
    """The share of flagged images with a threshold of the distance that the image's own patient had no part in."""
    half = np.array([data.split([data.Sample(Path(), 0, name)], 0.5, seed + 1)[1] != [] for name in patients])
    halves = np.concatenate([half] * len(features))
    distances = np.concatenate([check.distances(found) for found in features.values()])
    turned = np.concatenate([check.flags(found)[1] for found in features.values()])
    edges = {side: np.quantile(distances[halves != side], novelty.ACCEPTED) for side in (False, True)}
    far = distances > np.where(halves, edges[True], edges[False])
    return round(float((far | turned).mean()), 4)
