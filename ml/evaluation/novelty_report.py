"""Fit a bundle's check for other pictures and measure it on every kind of picture that it should detect."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.evaluation import card, novelty_fit
from ml.inference import engines, novelty
from ml.inference.engines import Engine
from ml.inference.novelty import Check, Features, Inputs
from ml.inference.predict import load_input
from ml.pictures import augment, out_of_domain, xray
from ml.pictures.preprocess import Preprocessing, to_input

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
        kind, how many of them by their distance, each kind's median distance in thresholds, and of drawings the share
        that is flagged (``unlearnt``) where the regression has learnt from the other kinds only.

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
    training, held = data.split_as(recipe, samples)
    rng = np.random.default_rng(seed)
    # Half of them plain, half changed as while training: uploads differ from this data's images.
    known = _inputs(_some(training, novelty_fit.MOST_TRAINING, rng), spec, augment.Strength(), seed, every=2)
    held = _some(held, novelty_fit.MOST_HELD_OUT // 2, rng)
    plain, perturbed = _inputs(held, spec, None, seed), _inputs(held, spec, augment.HARD, seed)
    chests = _features(engine, {"held out": plain, "held out, perturbed": perturbed})
    learnt, held_out = novelty.features_of(engine, known), _together(chests)
    turned = _features(engine, _turned(plain, rng))
    turned_sides = _together(_features(engine, _turned(known, rng))), _together(turned)
    inputs = out_of_domain.drawn(spec, DRAWN, seed)
    drawn, lessons = _features(engine, inputs), _features(engine, out_of_domain.drawn(spec, DRAWN, seed + 1))
    check = novelty_fit.fit(learnt, held_out, turned_sides, (_together(lessons), _together(drawn)))
    kinds = {kind: _kind(check, found) for kind, found in {**chests, **turned}.items()}
    for kind, found in drawn.items():
        without = novelty_fit.drawings(
            check, learnt, held_out, (_together(lessons, but=kind), _together(drawn, but=kind))
        )
        kinds[kind] = {**_kind(check, found, inputs[kind]), "unlearnt": _flagged(without, found, inputs[kind])}
    for kind, pictures in _out_of_domain(spec, seed, others):
        kinds[kind] = _kind(check, novelty.features_of(engine, pictures), pictures)
    figures: dict[str, Any] = {
        "training_images": len(known),
        "held_out_images": len(plain) + len(perturbed),
        "accepted": novelty_fit.ACCEPTED,
        "flagged_held_out_by_other_half": _crosswise(check, chests, [sample.patient for sample in held], seed),
        "kinds": kinds,
    }
    print(text(bundle.id, check, figures))
    if write:
        card.refresh(novelty.save(bundle, check, figures))
    return figures


def text(name: str, check: Check, figures: dict[str, Any]) -> str:
    """The figures for people."""
    rows = "\n".join(
        f"  {kind:<24} {about['n']:>5} {about['flagged']:>9.1%} {about['far']:>9.1%} {about['median']:>9.2f}"
        + (f" {about['unlearnt']:>9.1%}" if "unlearnt" in about else "")
        for kind, about in figures["kinds"].items()
    )
    return (
        f"{name}: {len(check.axes)} components of {figures['training_images']} images, "
        f"threshold {check.threshold:.2f}\n"
        f"  {'kind':<24} {'n':>5} {'flagged':>9} {'far':>9} {'distance':>9} {'unlearnt':>9}\n{rows}\n"
        "  far: by the distance alone; distance: its median, in thresholds; unlearnt: flagged where the regression has "
        "learnt from the other drawings only\n"
        f"  With the threshold from the other half of the held-out patients: "
        f"{100 * figures['flagged_held_out_by_other_half']:.2f} % of held-out images flagged"
    )


def _some(samples: list[data.Sample], most: int, rng: np.random.Generator) -> list[data.Sample]:
    return samples if len(samples) <= most else [samples[i] for i in sorted(rng.permutation(len(samples))[:most])]


def _inputs(
    samples: Sequence[data.Sample], spec: Preprocessing, strength: augment.Strength | None, seed: int, every: int = 1
) -> Inputs:
    """The samples' inputs, every ``every``-th one perturbed with this strength."""
    made = []
    for index, sample in enumerate(samples):
        image = xray.load(sample.path.read_bytes())
        if strength and index % every == 0:
            made.append(augment.perturb(image, np.random.default_rng([seed, 2_000_000, index]), strength, spec))
        else:
            made.append(to_input(image, spec))
    return np.stack(made)


def _turned(chests: Inputs, rng: np.random.Generator) -> dict[str, Inputs]:
    return out_of_domain.turned(chests[rng.permutation(len(chests))[: novelty_fit.MOST_TURNED]])


def _out_of_domain(spec: Preprocessing, seed: int, others: Path | None) -> list[tuple[str, Inputs]]:
    kinds = [("photograph", out_of_domain.photographs(spec, DRAWN, seed))]
    for folder in sorted(path for path in others.iterdir() if path.is_dir()) if others else ():
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in data.SUFFIXES)
        if files:
            kinds.append((folder.name, np.stack([load_input(file, spec) for file in files])))
    return kinds


def _features(engine: Engine, kinds: dict[str, Inputs]) -> dict[str, Features]:
    return {kind: novelty.features_of(engine, inputs) for kind, inputs in kinds.items()}


def _together(kinds: dict[str, Features], but: str | None = None) -> Features:
    return np.concatenate([found for kind, found in kinds.items() if kind != but])


def _kind(check: Check, features: Features, inputs: Inputs | None = None) -> dict[str, float]:
    """The figures of one kind; blank inputs count as flagged."""
    distances = check.distances(features)
    return {
        "n": len(features),
        "flagged": _flagged(check, features, inputs),
        "far": round(float((distances > check.threshold).mean()), 4),
        "median": round(float(np.median(distances)) / check.threshold, 3),
    }


def _flagged(check: Check, features: Features, inputs: Inputs | None = None) -> float:
    if inputs is None:
        return round(float(np.logical_or(*check.flags(features)).mean()), 4)
    return round(float(np.mean([bool(found) for found in check.warnings(features, inputs)])), 4)


def _crosswise(check: Check, features: dict[str, Features], patients: Sequence[str], seed: int) -> float:
    """The share of flagged images with a threshold of the distance that the image's own patient had no part in."""
    half = np.array([data.split([data.Sample(Path(), 0, name)], 0.5, seed + 1)[1] != [] for name in patients])
    halves = np.concatenate([half] * len(features))
    distances = np.concatenate([check.distances(found) for found in features.values()])
    within = replace(check, threshold=np.inf)
    otherwise = np.concatenate([np.logical_or(*within.flags(found)) for found in features.values()])
    edges = {
        side: novelty_fit.ROOM * np.quantile(distances[halves != side], novelty_fit.ACCEPTED) for side in (False, True)
    }
    far = distances > np.where(halves, edges[True], edges[False])
    return round(float((far | otherwise).mean()), 4)
