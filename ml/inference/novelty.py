"""The out-of-domain check: it flags pictures that are not upright frontal chest X-rays.

A network gives every picture a probability. The check measures how far a picture's features are from those of the
chest X-rays that the network was trained on: the Mahalanobis distance (Lee et al., "A Simple Unified Framework for
Detecting Out-of-Distribution Samples and Adversarial Attacks", 2018) under probabilistic principal components (Tipping
& Bishop, 1999) of the last feature map, averaged over each quarter of the image. It is fitted on chest X-rays only, so
most other pictures are far away. Two kinds of pictures may be nearer, and a logistic regression on the same components
detects each of them: chests from the side; and drawings, documents, scans and other pictures, which may not look
unusual to a network trained on chests. Turned and inverted chests are detected by :mod:`ml.inference.upright`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle, sha256
from ml.errors import BundleError
from ml.inference import upright
from ml.inference.engines import Engine
from ml.pictures.preprocess import percentiles
from ml.pictures.warnings import PHOTOGRAPH_OF_FILM

FILE = "novelty.npz"
CODE = "not_chest_xray"
#: Codes that are added to it for a more exact reason.
TURNED_CODE, LATERAL_CODE = "chest_turned", "chest_from_the_side"
METHOD = (
    "a small network for turned and inverted chests, and the mahalanobis distance and logistic regressions of chests "
    "from the side and of other pictures, in components of the last map's quarters"
)
#: An image with fewer grey levels between its 1st and its 99th percentile counts as blank.
CONTRAST = 8
BATCH = 16

DETAIL = (
    "This does not look like an upright frontal chest X-ray: it is unlike those that the model learnt from. "
    "Do not rely on the probability."
)
TURNED = (
    "This looks like a chest X-ray that is inverted, lies on its side or hangs upside down. "
    "Upload it upright, with air dark and bone bright. Do not rely on the probability."
)
LATERAL = (
    "This looks like a chest X-ray from the side; the model learnt from frontal ones only. "
    "Do not rely on the probability."
)
BLANK = "This image is blank: it shows next to no contrast. Do not rely on the probability."

Features = NDArray[np.float32]
Inputs = NDArray[np.uint8]
Warnings = list[dict[str, str]]


@dataclass(frozen=True)
class Check:
    """The distribution of chest X-rays' features, and the thresholds beyond which a picture is flagged.

    Attributes:
        mean: ``(d,)`` float32, the mean of the features.
        axes: ``(k, d)`` float32: each principal component, divided by its standard deviation.
        scales: ``(k,)`` float32: those standard deviations.
        rest: the standard deviation along each direction that the components leave out.
        threshold: the distance above which an image is flagged.
        drawn: ``(k,)`` float32: the weight of each component in the regression that detects drawings and other
            pictures; all 0 in bundles before 1.2.
        familiar: the score of that regression above which an image is flagged as no chest X-ray.
        lateral: ``(k,)`` float32: the weights in the regression that detects chests from the side; all 0 in bundles
            before 1.3.
        frontal: the score of that regression above which an image is flagged as a chest from the side.
    """

    mean: Features
    axes: Features
    scales: Features
    rest: float
    threshold: float
    drawn: Features
    familiar: float
    lateral: Features
    frontal: float

    def distances(self, features: Features) -> NDArray[np.float64]:
        """How far each image is from the chest X-rays that the check was fitted on, in standard deviations.

        Args:
            features: ``(n, d)`` of :class:`ml.inference.engines.Readings`.
        """
        return self._distances(*self.components(features))

    def scores(self, features: Features) -> NDArray[np.float64]:
        """Each image's distance, its score as another picture, and its score as a chest from the side.

        Args:
            features: ``(n, d)`` of :class:`ml.inference.engines.Readings`.

        Returns:
            ``(n, 3)``, to compare with :attr:`thresholds`.
        """
        differences, components = self.components(features)
        return np.column_stack(
            [self._distances(differences, components), components @ self.drawn, components @ self.lateral]
        )

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """The values of :meth:`scores` above which an image is flagged."""
        return np.array([self.threshold, self.familiar, self.frontal])

    def flags(self, features: Features) -> NDArray[np.bool_]:
        """Which images are too far, look like another picture, or look like a chest from the side.

        Args:
            features: ``(n, d)`` of :class:`ml.inference.engines.Readings`.

        Returns:
            ``(n, 3)``.
        """
        return self.scores(features) > self.thresholds

    def warnings(self, features: Features, inputs: Inputs) -> list[Warnings]:
        """The warnings of each image; an empty list where there are none.

        Args:
            features: ``(n, d)`` of :class:`ml.inference.engines.Readings`.
            inputs: ``(n, size, size)``, the batch that was read.
        """
        # Percentiles from counts of the 256 grey levels are faster than sorting.
        counts = (np.bincount(image.ravel(), minlength=256) for image in inputs)
        low, high = np.transpose([percentiles(image_counts, (1, 99)) for image_counts in counts])
        blank = high - low < CONTRAST
        flags = np.column_stack([blank, self.flags(features), upright.turned(inputs)])
        return [_warnings(*row) for row in flags.tolist()]

    def components(self, features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The difference from the mean, ``(n, d)``, and each component in standard deviations, ``(n, k)``."""
        differences = level(features) - self.mean
        # Single precision is many times as fast here. Sums of squares need double precision.
        return differences, (differences.astype(np.float32) @ self.axes.T).astype(np.float64)

    def _distances(self, differences: NDArray[np.float64], components: NDArray[np.float64]) -> NDArray[np.float64]:
        outside = np.maximum((differences**2).sum(axis=1) - ((components * self.scales) ** 2).sum(axis=1), 0)
        return np.sqrt((components**2).sum(axis=1) + outside / self.rest**2)


def _warnings(blank: bool, far: bool, other: bool, lateral: bool, turned: bool) -> Warnings:
    """The warnings of an image: that it is no frontal chest X-ray and, if known, what it is instead."""
    if blank:
        return [{"code": CODE, "detail": BLANK}]
    if other or not (turned or lateral):
        return [{"code": CODE, "detail": DETAIL}] * (other or far)
    code, detail = (TURNED_CODE, TURNED) if turned else (LATERAL_CODE, LATERAL)
    return [{"code": CODE, "detail": DETAIL}, {"code": code, "detail": detail}]


def features_of(engine: Engine, inputs: Inputs) -> Features:
    """The features of any number of images, ``(n, d)``."""
    starts = range(0, len(inputs), BATCH)
    return np.concatenate([engine.read(inputs[start : start + BATCH]).features for start in starts])


def save(bundle: Bundle, check: Check, figures: dict[str, Any]) -> Bundle:
    """Write a check into a bundle, replacing any existing one.

    Args:
        bundle: the bundle whose network the check was fitted on.
        check: from :func:`ml.evaluation.novelty_fit.fit`.
        figures: a description of its fit and its evaluation, for ``bundle.json``.

    Returns:
        The changed bundle.
    """
    file = bundle.path / FILE
    with file.open("wb") as stream:
        arrays = {**vars(check), "axes": check.axes.astype(np.float16)}
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    metadata = {**figures, "file": FILE, "sha256": sha256(file), "method": METHOD, "components": len(check.axes),
             "threshold": check.threshold}  # fmt: skip
    text = json.dumps({**bundle.meta, "novelty": metadata}, indent=2)
    (bundle.path / "bundle.json").write_text(text + "\n")
    return Bundle.read(bundle.path)


def load(bundle: Bundle) -> Check | None:
    """A bundle's check, or None if it has none, such as bundles before 1.1.

    Raises:
        BundleError: if the bundle names a check that is missing, changed or damaged.
    """
    metadata = bundle.meta.get("novelty")
    if not metadata:
        return None
    file = bundle.path / FILE
    try:
        digest = sha256(file)
    except FileNotFoundError:
        raise BundleError(f"{bundle.path} has no {FILE}") from None
    if digest != metadata.get("sha256"):
        raise BundleError(f"{file} is not the file that was released: its SHA-256 is {digest}")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            values: dict[str, Any] = {field.name: arrays[field.name] for field in fields(Check) if field.name in arrays}
        for name, value in values.items():
            values[name] = value.astype(np.float32) if value.ndim else float(value)
        # Bundles before 1.2 have no regression for drawings, those before 1.3 none for chests from the side.
        zeros = np.zeros(len(values["axes"]), np.float32)
        return Check(**{"drawn": zeros, "familiar": np.inf, "lateral": zeros, "frontal": np.inf, **values})
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{file} is no check that this version reads: {error}") from error


def copy_check(source: Bundle, target: Bundle) -> Bundle:
    """Copy the check of a bundle to another one that has the same weights.

    Returns:
        The changed target.
    """
    check = load(source)
    if check is None:
        return target
    return save(target, check, source.meta["novelty"])


def warnings_of(check: Check | None, features: Features, inputs: Inputs) -> Sequence[Warnings]:
    """The check's warnings for each image; no warnings if there is no check."""
    return check.warnings(features, inputs) if check else [[] for _ in inputs]


def distances_of(check: Check | None, features: Features) -> list[float | None]:
    """Each image's distance from the training X-rays, with 1 as the limit; None if there is no check."""
    if check is None:
        return [None] * len(features)
    return [float(distance) for distance in check.distances(features) / check.threshold]


def together(prepared: Warnings, checked: Warnings) -> Warnings:
    """An image's warnings from preparation and from this check. Those of the check are dropped for a photograph."""
    return prepared if PHOTOGRAPH_OF_FILM in prepared else [*checked, *prepared]


def level(features: Features) -> NDArray[np.float64]:
    """Features scaled to length 1, because their magnitude depends on the image's contrast."""
    doubles = features.astype(np.float64)
    return doubles / np.maximum(np.linalg.norm(doubles, axis=1, keepdims=True), 1e-6)
