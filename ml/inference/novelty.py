"""The out-of-domain check: it flags pictures that are no upright chest X-ray.

A network gives every picture a probability. The check asks instead how far a picture's features are from those of the
chest X-rays that the network learnt from: the Mahalanobis distance (Lee et al., "A Simple Unified Framework for
Detecting Out-of-Distribution Samples and Adversarial Attacks", 2018) under probabilistic principal components (Tipping
& Bishop, 1999) of the last feature map, averaged over each quarter of the image. That learns from chest X-rays only, so
all other pictures are far away. Some kinds of pictures may be nearer, and a logistic regression on the same components
detects each of them: chests from the side; and drawings, documents, scans and other pictures, in which a network that
learnt from chests may find little that is strange. Of turned and inverted chests tells :mod:`ml.inference.upright`.
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
#: Codes that come beside it and say which.
TURNED_CODE, LATERAL_CODE = "chest_turned", "chest_from_the_side"
METHOD = (
    "a small network for turned and inverted chests, and the mahalanobis distance and logistic regressions of chests "
    "from the side and of other pictures, in components of the last map's quarters"
)
#: Grey levels between the 1st and the 99th percentile, below which preprocessing takes an image for blank.
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
        mean: ``(d,)`` float32.
        axes: ``(k, d)`` float32: each principal component, divided by its standard deviation.
        scales: ``(k,)`` float32: those standard deviations.
        rest: the standard deviation of each direction that the components leave out.
        threshold: the distance from which an image is flagged.
        drawn: ``(k,)`` float32: the weight of each component in the regression of drawings and other pictures; all 0
            in bundles before 1.2.
        familiar: what their sum must exceed for an image to be flagged as no chest X-ray.
        lateral: ``(k,)`` float32: the weights in the regression of chests from the side; all 0 in bundles before 1.3.
        frontal: what their sum must exceed for an image to be flagged as one.
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
        return self._far(*self.components(features))

    def scores(self, features: Features) -> NDArray[np.float64]:
        """Of each image its distance, and how much it looks like another picture, and like a chest from the side.

        Args:
            features: ``(n, d)`` of :class:`ml.inference.engines.Readings`.

        Returns:
            ``(n, 3)``, to be compared with :attr:`thresholds`.
        """
        apart, within = self.components(features)
        return np.column_stack([self._far(apart, within), within @ self.drawn, within @ self.lateral])

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Beyond which each of the :meth:`scores` has an image flagged."""
        return np.array([self.threshold, self.familiar, self.frontal])

    def flags(self, features: Features) -> NDArray[np.bool_]:
        """Which images are far, look like another picture, and like a chest from the side.

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
        # By counting their levels: a byte has few.
        counts = (np.bincount(one.ravel(), minlength=256) for one in inputs)
        low, high = np.transpose([percentiles(each, (1, 99)) for each in counts])
        blank = high - low < CONTRAST
        found = np.column_stack([blank, self.flags(features), upright.turned(inputs)])
        return [_said(*one) for one in found.tolist()]

    def components(self, features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The difference from the mean, ``(n, d)``, and each component in standard deviations, ``(n, k)``."""
        apart = level(features) - self.mean
        # In single precision, which is many times as fast; sums of squares need double.
        return apart, (apart.astype(np.float32) @ self.axes.T).astype(np.float64)

    def _far(self, apart: NDArray[np.float64], within: NDArray[np.float64]) -> NDArray[np.float64]:
        outside = np.maximum((apart**2).sum(axis=1) - ((within * self.scales) ** 2).sum(axis=1), 0)
        return np.sqrt((within**2).sum(axis=1) + outside / self.rest**2)


def _said(blank: bool, far: bool, other: bool, lateral: bool, turned: bool) -> Warnings:
    """The warnings of an image: that it is no frontal chest, and where the picture tells, which other it is."""
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
    """Put a check into a bundle, in place of the one that is there.

    Args:
        bundle: the bundle whose network the check was fitted on.
        check: from :func:`ml.evaluation.novelty_fit.fit`.
        figures: what it was fitted and measured on, for ``bundle.json``.

    Returns:
        The bundle as it is now.
    """
    file = bundle.path / FILE
    with file.open("wb") as stream:
        arrays = {**vars(check), "axes": check.axes.astype(np.float16)}
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    about = {**figures, "file": FILE, "sha256": sha256(file), "method": METHOD, "components": len(check.axes),
             "threshold": check.threshold}  # fmt: skip
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
            found: dict[str, Any] = {field.name: arrays[field.name] for field in fields(Check) if field.name in arrays}
        for name, value in found.items():
            found[name] = value.astype(np.float32) if value.ndim else float(value)
        # Bundles before 1.2 have no regression of drawings, those before 1.3 none of chests from the side.
        none = np.zeros(len(found["axes"]), np.float32)
        return Check(**{"drawn": none, "familiar": np.inf, "lateral": none, "frontal": np.inf, **found})
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{file} is no check that this version reads: {error}") from error


def hand_on(source: Bundle, target: Bundle) -> Bundle:
    """Give a bundle that has another's weights its check as well.

    Returns:
        The target as it is now.
    """
    check = load(source)
    if check is None:
        return target
    return save(target, check, source.meta["novelty"])


def warnings_of(check: Check | None, features: Features, inputs: Inputs) -> Sequence[Warnings]:
    """A check's warnings; none without a check."""
    return check.warnings(features, inputs) if check else [[] for _ in inputs]


def distances_of(check: Check | None, features: Features) -> list[float | None]:
    """How far each image is from the X-rays that the network learnt from, 1 being the limit; None without a check."""
    if check is None:
        return [None] * len(features)
    return [float(distance) for distance in check.distances(features) / check.threshold]


def together(prepared: Warnings, found: Warnings) -> Warnings:
    """An image's warnings from its preparation and from this check, which has nothing to add on a photograph."""
    return prepared if PHOTOGRAPH_OF_FILM in prepared else [*found, *prepared]


def level(features: Features) -> NDArray[np.float64]:
    """Features of length 1: their pattern matters, not how strongly an image's contrast drives them."""
    exact = features.astype(np.float64)
    return exact / np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-6)
