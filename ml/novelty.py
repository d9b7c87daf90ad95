"""A check that notices what is no upright chest X-ray, so that its reading is not relied upon.

A network gives every picture a probability. The check asks instead how far a picture's features are from those of the
chest X-rays that the network learnt from: the Mahalanobis distance (Lee et al., "A Simple Unified Framework for
Detecting Out-of-Distribution Samples and Adversarial Attacks", 2018) in the principal components of the last feature
map, averaged over each quarter of the image, with what the components leave out as one component more (Moghaddam &
Pentland, "Probabilistic Visual Learning for Object Representation", 1997). The quarters make it see a chest that lies
on its side or hangs upside down. It learns from chest X-rays only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundle import Bundle, sha256
from ml.engines import Engine
from ml.errors import BundleError

FILE = "novelty.npz"
CODE = "not_chest_xray"
METHOD = "mahalanobis distance in the principal components of the last feature map's quarters"
#: At most so many images are looked at, which keeps the fit to some minutes on two cores.
MOST_TRAINING, MOST_HELD_OUT = 1500, 1600
COMPONENTS = 256
#: This share of held-out chest X-rays stays below the threshold.
ACCEPTED = 0.995
#: Grey levels between the 1st and the 99th percentile, below which preprocessing takes an image for blank.
CONTRAST = 8
BATCH = 16

DETAIL = (
    "This does not look like an upright frontal chest X-ray: it is unlike those that the model learnt from. "
    "Do not rely on the probability."
)
BLANK = "This image is blank: it shows next to no contrast. Do not rely on the probability."

Features = NDArray[np.float32]
Inputs = NDArray[np.uint8]
Warnings = list[dict[str, str]]


@dataclass(frozen=True)
class Check:
    """What chest X-rays' features look like, and how far from it is too far.

    Attributes:
        mean: ``(d,)`` float32.
        axes: ``(k, d)`` float32: each principal component, divided by its standard deviation.
        scales: ``(k,)`` float32: those standard deviations.
        rest: the standard deviation, in all, of what the components leave out.
        threshold: the distance from which an image is flagged.
    """

    mean: Features
    axes: Features
    scales: Features
    rest: float
    threshold: float

    def distances(self, features: Features) -> NDArray[np.float64]:
        """How far each image is from the chest X-rays that the check was fitted on, in standard deviations.

        Args:
            features: ``(n, d)`` of :class:`ml.engines.Readings`.
        """
        apart = _level(features) - self.mean
        within = apart @ self.axes.T
        outside = np.maximum((apart**2).sum(axis=1) - ((within * self.scales) ** 2).sum(axis=1), 0)
        return np.sqrt((within**2).sum(axis=1) + outside / self.rest**2)

    def warnings(self, features: Features, inputs: Inputs) -> list[Warnings]:
        """What to say of each image beside its probability; an empty list where there is nothing.

        Args:
            features: ``(n, d)`` of :class:`ml.engines.Readings`.
            inputs: ``(n, size, size)``, the batch that was read.
        """
        low, high = np.percentile(inputs.reshape(len(inputs), -1), (1, 99), axis=1)
        details = [
            BLANK if blank else DETAIL if far else ""
            for blank, far in zip(high - low < CONTRAST, self.distances(features) > self.threshold, strict=True)
        ]
        return [[{"code": CODE, "detail": detail}] if detail else [] for detail in details]


def fit(engine: Engine, training: Inputs, held_out: Inputs, *, seed: int = 0) -> Check:
    """Learn what chest X-rays look like to a network.

    Args:
        engine: the network, with the weights that are released.
        training: ``(n, size, size)`` inputs of training patients, some of them perturbed. More than
            :data:`MOST_TRAINING` are sampled.
        held_out: inputs of other patients, plain and perturbed as uploads may be; the threshold is chosen on them.
        seed: of the sampling.

    Raises:
        ValueError: where there are too few images.
    """
    rng = np.random.default_rng(seed)
    chosen = (_sample(training, MOST_TRAINING, rng), _sample(held_out, MOST_HELD_OUT, rng))
    return fit_to(*(features_of(engine, inputs) for inputs in chosen))


def fit_to(training: Features, held_out: Features) -> Check:
    """:func:`fit` to features that are there already, each ``(n, d)``.

    Raises:
        ValueError: where there are too few.
    """
    if min(len(training), len(held_out)) < 8:
        raise ValueError("the check for other pictures needs at least 8 training and 8 held-out images")
    known = _level(training)
    mean = known.mean(axis=0)
    _, singular, axes = np.linalg.svd(known - mean, full_matrices=False)
    scales = singular / np.sqrt(len(known))
    # A sixth of the images at most: a variance that a few images decide would be estimated too small.
    count = min(COMPONENTS, max(1, len(known) // 6), len(scales) - 1)
    # In the precision in which they are stored, so that the check is the same after loading.
    stored = (axes[:count] / scales[:count, np.newaxis]).astype(np.float16).astype(np.float32)
    rest = float(np.sqrt((scales[count:] ** 2).sum()))
    check = Check(mean.astype(np.float32), stored, scales[:count].astype(np.float32), rest, np.inf)
    return replace(check, threshold=float(np.quantile(check.distances(held_out), ACCEPTED)))


def features_of(engine: Engine, inputs: Inputs) -> Features:
    """The features of any number of images, ``(n, d)``."""
    starts = range(0, len(inputs), BATCH)
    return np.concatenate([engine.read(inputs[start : start + BATCH]).features for start in starts])


def save(bundle: Bundle, check: Check, figures: dict[str, Any]) -> Bundle:
    """Put a check into a bundle, in place of the one that is there.

    Args:
        bundle: the bundle whose network the check was fitted on.
        check: from :func:`fit`.
        figures: what it was fitted and measured on, for ``bundle.json``.

    Returns:
        The bundle as it is now.
    """
    file = bundle.path / FILE
    with file.open("wb") as stream:
        np.savez_compressed(
            stream, allow_pickle=False, mean=check.mean, axes=check.axes.astype(np.float16), scales=check.scales,
            rest=np.float64(check.rest), threshold=np.float64(check.threshold),
        )  # fmt: skip
    about = {"file": FILE, "sha256": sha256(file), "method": METHOD, "components": len(check.axes),
             "threshold": check.threshold, **figures}  # fmt: skip
    text = json.dumps({**bundle.meta, "novelty": about}, indent=2)
    (bundle.path / "bundle.json").write_text(text + "\n")
    return Bundle.read(bundle.path)


def load(bundle: Bundle) -> Check | None:
    """A bundle's check, or None where it has none, as bundles before 1.1 do not.

    Raises:
        BundleError: where the bundle names one that is missing, changed or damaged.
    """
    about = bundle.meta.get("novelty")
    if not about:
        return None
    file = bundle.path / FILE
    try:
        digest = sha256(file)
    except FileNotFoundError:
        raise BundleError(f"{bundle.path} has no {FILE}") from None
    if digest != about.get("sha256"):
        raise BundleError(f"{file} is not the file that was released: its SHA-256 is {digest}")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return Check(
                mean=arrays["mean"], axes=arrays["axes"].astype(np.float32), scales=arrays["scales"],
                rest=float(arrays["rest"]), threshold=float(arrays["threshold"]),
            )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{file} is no check that this version reads: {error}") from error


def warnings_of(check: Check | None, features: Features, inputs: Inputs) -> Sequence[Warnings]:
    """A check's warnings; none without a check."""
    return check.warnings(features, inputs) if check else [[] for _ in inputs]


def _level(features: Features) -> Features:
    """Features of length 1: their pattern matters, not how strongly an image's contrast drives them."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)


def _sample(inputs: Inputs, most: int, rng: np.random.Generator) -> Inputs:
    return inputs if len(inputs) <= most else inputs[np.sort(rng.permutation(len(inputs))[:most])]
