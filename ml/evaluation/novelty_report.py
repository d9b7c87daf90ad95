"""Fit a bundle's out-of-domain check and measure it on every kind of picture that it should detect."""

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
from ml.evaluation.features import FeatureCache
from ml.evaluation.novelty_fit import Lessons
from ml.evaluation.novelty_pictures import Pictures
from ml.inference import engines, novelty
from ml.inference.novelty import Check, Features, Inputs
from ml.pictures import augment, out_of_domain

#: The number of parts for the cross-validation on real pictures: each is measured by a check fitted on the others.
PARTS = 5
#: No pictures other than the training data and drawings.
NONE = Pictures()


def report(
    model: Path, directory: Path, *, also: Sequence[Path] = (), pictures: Pictures = NONE, write: bool = False
) -> dict[str, Any]:
    """Fit the check, measure it and print what it flags. This takes a quarter of an hour on two cores.

    Args:
        model: the bundle's folder.
        directory: the training data, with the folders ``NORMAL/`` and ``PNEUMONIA/``.
        also: folders of the same layout with other renditions.
        pictures: the pictures to fit and to measure the check on.
        write: whether to write the check into the bundle.

    Returns:
        The entry ``novelty`` of ``bundle.json``, without the file: the numbers of images, and for each kind the share
        that is flagged (:func:`_kind`). Chests of another hospital are measured by a check that was fitted without that
        hospital, and real pictures by a check that was fitted on the other parts of them. Drawings are also measured
        (``unlearnt``) by a check that was fitted on the other kinds of drawings only.

    Raises:
        BundleError: if the bundle cannot be used.
        FileNotFoundError: if a class has no images.
    """
    bundle = Bundle.read(model)
    spec = bundle.preprocessing
    features = FeatureCache(engines.load(model), pictures.features)
    samples = [sample for folder in (directory, *also) for sample in data.scan(folder)]
    # Split the patients as the network's training did.
    recipe = bundle.meta.get("training", {}).get("recipe", {})
    seed = int(recipe.get("seed", 7))
    training, held = data.split_as(recipe, samples)
    rng = np.random.default_rng(seed)
    # Half of them plain and half augmented as in training, because uploads differ from this data's images.
    training_inputs = shown.inputs_of(
        shown.random_subset(training, novelty_fit.MOST_TRAINING, rng), spec, augment.Strength(), seed, every=2
    )
    held = shown.random_subset(held, novelty_fit.MOST_HELD_OUT // 2, rng)
    plain, perturbed = shown.inputs_of(held, spec, None, seed), shown.inputs_of(held, spec, augment.HARD, seed)
    chests = {"held out": plain, "held out, perturbed": perturbed}
    elsewhere = shown.elsewhere(pictures, spec)
    drawn, drawn_for_fit = (out_of_domain.drawn(spec, shown.DRAWN, each) for each in (seed, seed + 1))
    real, refused = shown.not_chests(pictures.not_chests, spec)
    real_features = features.get(real) if len(real) else np.empty((0, features.get(plain).shape[1]), np.float32)
    sideways = shown.from_ct(pictures.made, made_laterals.LATERAL, spec)
    laterals = None if sideways is None else features.get(sideways)

    def other(part: NDArray[np.bool_], excluded: str | None = None) -> novelty_fit.Sides:
        """Drawings and real pictures: those to fit the regression on, and those to choose its threshold on."""
        return (
            np.concatenate([features.get(_together(drawn_for_fit, excluded)), real_features[part]]),
            np.concatenate([features.get(_together(drawn, excluded)), real_features[part]]),
        )

    all_real = np.ones(len(real_features), bool)
    lessons = Lessons(
        features.get(training_inputs),
        features.get(np.concatenate(list(chests.values()))),
        {
            "drawn": other(all_real),
            **({"lateral": (laterals[::2], laterals[1::2])} if laterals is not None else {}),
        },
        {source: features.get(images) for source, images in elsewhere.items()},
    )
    check = novelty_fit.fit(lessons)

    def with_other(sides: novelty_fit.Sides) -> Check:
        return novelty_fit.fit(replace(lessons, wrong={**lessons.wrong, "drawn": sides}))

    def kind(check: Check, inputs: Inputs) -> dict[str, float]:
        return _kind(check, features.get(inputs), inputs)

    kinds = {name: kind(check, images) for name, images in chests.items()}
    kinds |= {
        f"chests of {source}": kind(novelty_fit.fit(lessons.without(source)), images)
        for source, images in elsewhere.items()
    }
    if elsewhere:
        kinds["chests of all of these, other patients known"] = _by_patients(
            lessons, elsewhere, shown.patients(pictures)
        )
    kinds |= {name: kind(check, images) for name, images in shown.turned(plain, rng).items()}
    for name, images in drawn.items():
        without = with_other(other(all_real, name))
        kinds[name] = {**kind(check, images), "unlearnt": _flagged(without, features.get(images), images)}
    if len(real):
        kinds["real pictures of other things"] = _in_parts(real, real_features, lambda part: with_other(other(part)))
        kinds["real pictures of other things"]["refused"] = refused
    if sideways is not None:
        kinds["chests from the side, made from a CT"] = kind(check, sideways[1::2])
    for name, images in shown.more(spec, seed, pictures.others):
        kinds[name] = kind(check, images)
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
    """The figures as text."""
    rows = "\n".join(
        f"  {kind:<38} {row['n']:>5} {row['flagged']:>9.1%} {row['far']:>9.1%} {row['median']:>9.2f}"
        + (f" {row['unlearnt']:>9.1%}" if "unlearnt" in row else "")
        for kind, row in figures["kinds"].items()
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
    """The figures of other hospitals' chests, each measured by a check fitted on other patients of all hospitals."""
    thirds = {
        source: np.array([int(data.place_of(patient, external.SEED) * external.FOLDS) for patient in names.tolist()])
        for source, names in patients.items()
    }
    kinds = []
    for third in range(external.FOLDS):
        elsewhere = {s: f[thirds[s] != third] if s in thirds else f for s, f in lessons.elsewhere.items()}
        check = novelty_fit.fit(Lessons(lessons.training, lessons.held_out, lessons.wrong, elsewhere))
        features, images = (
            np.concatenate([values_by_source[s][thirds[s] == third] for s in thirds])
            for values_by_source in (lessons.elsewhere, inputs)
        )
        kinds.append(_kind(check, features, images))
    return _mean(kinds)


def _together(kinds: Mapping[str, Inputs], excluded: str | None = None) -> Inputs:
    return np.concatenate([images for kind, images in kinds.items() if kind != excluded])


def _kind(check: Check, features: Features, inputs: Inputs) -> dict[str, float]:
    """The figures of one kind: ``n``, the shares that are ``flagged`` and ``far``, and the ``median`` distance as a
    multiple of the threshold."""
    distances = check.distances(features)
    return {
        "n": len(features),
        "flagged": _flagged(check, features, inputs),
        "far": round(float((distances > check.threshold).mean()), 4),
        "median": round(float(np.median(distances)) / check.threshold, 3),
    }


def _flagged(check: Check, features: Features, inputs: Inputs) -> float:
    return round(float(np.mean([bool(image_warnings) for image_warnings in check.warnings(features, inputs)])), 4)


def _in_parts(inputs: Inputs, features: Features, learn: Callable[[NDArray[np.bool_]], Check]) -> dict[str, float]:
    """The cross-validated figures of real pictures: each part is measured by a check fitted on the other parts.

    Args:
        inputs: the pictures.
        features: their features.
        learn: returns a check that is fitted on the chosen pictures.
    """
    part = np.random.default_rng(0).permutation(len(features)) % PARTS
    return _mean(
        [_kind(learn(part != index), features[part == index], inputs[part == index]) for index in range(PARTS)]
    )


def _mean(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of several parts' figures, weighted by their numbers of images."""
    counts = [part["n"] for part in parts]
    means = {
        name: round(float(np.average([part[name] for part in parts], weights=counts)), 4)
        for name in ("flagged", "far", "median")
    }
    return {"n": sum(counts), **means}
