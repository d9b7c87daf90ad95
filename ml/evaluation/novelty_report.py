"""Fit a bundle's check for other pictures and measure it on every kind of picture that it should detect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.dataset import data, external
from ml.evaluation import card, made_laterals, novelty_fit
from ml.evaluation import novelty_pictures as shown
from ml.evaluation.features import Kept
from ml.evaluation.novelty_fit import Lessons
from ml.evaluation.novelty_pictures import Pictures
from ml.inference import engines, novelty
from ml.inference.novelty import Check, Features, Inputs
from ml.pictures import augment, out_of_domain

#: Parts that real pictures are divided into: each is measured by a check that has learnt from the others.
PARTS = 5
#: Nothing beside the training data and what is drawn.
NONE = Pictures()


def report(
    model: Path, directory: Path, *, also: Sequence[Path] = (), pictures: Pictures = NONE, write: bool = False
) -> dict[str, Any]:
    """Fit the check, measure it and print what it flags. Takes a quarter of an hour on two cores.

    Args:
        model: the bundle's folder.
        directory: the training data, holding ``NORMAL/`` and ``PNEUMONIA/``.
        also: folders of the same layout with other renditions.
        pictures: to learn from and to measure on.
        write: put the check into the bundle.

    Returns:
        What ``bundle.json`` has as ``novelty``, less the file: the numbers of images and by kind how many of them are
        flagged (:func:`_kind`). Chests of other hospitals are measured by checks that have learnt from no chest of
        their source, real pictures by checks that have learnt from the other parts of them, and drawings also
        (``unlearnt``) by a check that has learnt from the other kinds of drawings only.

    Raises:
        BundleError: where the bundle cannot be used.
        FileNotFoundError: where a class has no images.
    """
    bundle = Bundle.read(model)
    spec = bundle.preprocessing
    read = Kept(engines.load(model), pictures.features)
    samples = [sample for folder in (directory, *also) for sample in data.scan(folder)]
    # The patients that the network's training held out.
    recipe = bundle.meta.get("training", {}).get("recipe", {})
    seed = int(recipe.get("seed", 7))
    training, held = data.split_as(recipe, samples)
    rng = np.random.default_rng(seed)
    # Half of them plain, half changed as while training: uploads differ from this data's images.
    known = shown.inputs_of(
        shown.some(training, novelty_fit.MOST_TRAINING, rng), spec, augment.Strength(), seed, every=2
    )
    held = shown.some(held, novelty_fit.MOST_HELD_OUT // 2, rng)
    plain, perturbed = shown.inputs_of(held, spec, None, seed), shown.inputs_of(held, spec, augment.HARD, seed)
    chests = {"held out": plain, "held out, perturbed": perturbed}
    elsewhere = shown.elsewhere(pictures, spec)
    drawn, drawn_before = (out_of_domain.drawn(spec, shown.DRAWN, each) for each in (seed, seed + 1))
    real, refused = shown.not_chests(pictures.not_chests, spec)
    real_features = read.of(real) if len(real) else np.empty((0, read.of(plain).shape[1]), np.float32)
    sideways = shown.made(pictures.made, made_laterals.LATERAL, spec)
    laterals = None if sideways is None else read.of(sideways)

    def other(part: NDArray[np.bool_], but: str | None = None) -> novelty_fit.Sides:
        """Drawings and real pictures to learn from, and to choose the threshold with."""
        return (
            np.concatenate([read.of(_together(drawn_before, but)), real_features[part]]),
            np.concatenate([read.of(_together(drawn, but)), real_features[part]]),
        )

    every = np.ones(len(real_features), bool)
    lessons = Lessons(
        read.of(known),
        read.of(np.concatenate(list(chests.values()))),
        {
            "drawn": other(every),
            **({"lateral": (laterals[::2], laterals[1::2])} if laterals is not None else {}),
        },
        {source: read.of(found) for source, found in elsewhere.items()},
    )
    check = novelty_fit.fit(lessons)

    def with_other(sides: novelty_fit.Sides) -> Check:
        return novelty_fit.fit(replace(lessons, wrong={**lessons.wrong, "drawn": sides}))

    def kind(check: Check, inputs: Inputs) -> dict[str, float]:
        return _kind(check, read.of(inputs), inputs)

    kinds = {name: kind(check, found) for name, found in chests.items()}
    kinds |= {
        f"chests of {source}": kind(novelty_fit.fit(lessons.without(source)), found)
        for source, found in elsewhere.items()
    }
    if elsewhere:
        kinds["chests of all of these, other patients known"] = _by_patients(
            lessons, elsewhere, shown.patients(pictures)
        )
    kinds |= {name: kind(check, found) for name, found in shown.turned(plain, rng).items()}
    for name, found in drawn.items():
        without = with_other(other(every, name))
        kinds[name] = {**kind(check, found), "unlearnt": _flagged(without, read.of(found), found)}
    if len(real):
        kinds["real pictures of other things"] = _in_parts(real, real_features, lambda part: with_other(other(part)))
        kinds["real pictures of other things"]["refused"] = refused
    if sideways is not None:
        kinds["chests from the side, made from a CT"] = kind(check, sideways[1::2])
    for name, found in shown.more(spec, seed, pictures.others):
        kinds[name] = kind(check, found)
    figures: dict[str, Any] = {
        "training_images": len(lessons.chests()),
        "held_out_images": len(plain) + len(perturbed),
        "accepted": list(novelty_fit.ACCEPTED),
        "elsewhere": sorted(lessons.elsewhere),
        "kinds": kinds,
    }
    print(text(bundle.id, check, figures))
    if write:
        card.refresh(novelty.save(bundle, check, figures))
    return figures


def text(name: str, check: Check, figures: dict[str, Any]) -> str:
    """The figures for people."""
    rows = "\n".join(
        f"  {kind:<38} {about['n']:>5} {about['flagged']:>9.1%} {about['far']:>9.1%} {about['median']:>9.2f}"
        + (f" {about['unlearnt']:>9.1%}" if "unlearnt" in about else "")
        for kind, about in figures["kinds"].items()
    )
    return (
        f"{name}: {len(check.axes)} components of {figures['training_images']} images, "
        f"threshold {check.threshold:.2f}\n"
        f"  {'kind':<38} {'n':>5} {'flagged':>9} {'far':>9} {'distance':>9} {'unlearnt':>9}\n{rows}\n"
        "  far: by the distance alone; distance: its median, in thresholds; unlearnt: flagged where the regression has "
        "learnt from the other drawings only"
    )


def _by_patients(
    lessons: Lessons, inputs: Mapping[str, Inputs], patients: Mapping[str, NDArray[np.str_]]
) -> dict[str, float]:
    """The figures of other hospitals' chests, each measured by a check that has learnt from others of its source."""
    thirds = {
        source: np.array([int(data.place_of(patient, external.SEED) * external.FOLDS) for patient in names.tolist()])
        for source, names in patients.items()
    }
    found = []
    for third in range(external.FOLDS):
        known = {s: f[thirds[s] != third] if s in thirds else f for s, f in lessons.elsewhere.items()}
        check = novelty_fit.fit(Lessons(lessons.training, lessons.held_out, lessons.wrong, known))
        features, asked = (
            np.concatenate([of[s][thirds[s] == third] for s in thirds]) for of in (lessons.elsewhere, inputs)
        )
        found.append(_kind(check, features, asked))
    return _mean(found)


def _together(kinds: Mapping[str, Inputs], but: str | None = None) -> Inputs:
    return np.concatenate([found for kind, found in kinds.items() if kind != but])


def _kind(check: Check, features: Features, inputs: Inputs) -> dict[str, float]:
    """The figures of one kind: ``n``, the shares that are ``flagged`` and ``far``, and the ``median`` distance in
    thresholds."""
    distances = check.distances(features)
    return {
        "n": len(features),
        "flagged": _flagged(check, features, inputs),
        "far": round(float((distances > check.threshold).mean()), 4),
        "median": round(float(np.median(distances)) / check.threshold, 3),
    }


def _flagged(check: Check, features: Features, inputs: Inputs) -> float:
    return round(float(np.mean([bool(found) for found in check.warnings(features, inputs)])), 4)


def _in_parts(inputs: Inputs, features: Features, learn: Callable[[NDArray[np.bool_]], Check]) -> dict[str, float]:
    """The figures of real pictures, each measured by a check that has learnt from the other parts of them.

    Args:
        inputs: the pictures.
        features: theirs.
        learn: gives a check that has learnt from some of them.
    """
    part = np.random.default_rng(0).permutation(len(features)) % PARTS
    return _mean([_kind(learn(part != here), features[part == here], inputs[part == here]) for here in range(PARTS)])


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The figures of several parts together; of the medians the mean."""
    counts = [one["n"] for one in found]
    means = {
        name: round(float(np.average([one[name] for one in found], weights=counts)), 4)
        for name in ("flagged", "far", "median")
    }
    return {"n": sum(counts), **means}
