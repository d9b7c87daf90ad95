"""How often a bundle gives each answer, measured on the patients that its training held out."""

from collections.abc import Mapping
from typing import Any


def shares(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shares of pneumonia images and of normal images that get each answer.

    The shares follow from sensitivity and specificity at the operating points ``balanced`` and ``screening``, on the
    held-out images both unchanged and changed. This is less flattering than the unchanged images alone.

    Args:
        meta: the ``meta`` of a :class:`ml.bundles.bundle.Bundle`.

    Returns:
        For ``pneumonia`` and ``normal``: the number of images (``images``), each counted once, and the share that got
        each answer (``positive``, ``unclear``, ``negative``). Empty if the bundle has no such measurements.
    """
    try:
        points = meta["held_out"]["points"]
        balanced, screening = points["balanced"]["all"], points["screening"]["all"]
        images = int(points["balanced"]["plain"]["n"])
    except (KeyError, TypeError):
        return {}
    pneumonias = round(images * _share_of_pneumonias(balanced, screening))
    if not 0 < pneumonias < images:
        return {}
    return {
        "pneumonia": {
            "images": pneumonias,
            "positive": balanced["recall"],
            "unclear": max(0.0, screening["recall"] - balanced["recall"]),
            "negative": 1 - screening["recall"],
        },
        "normal": {
            "images": images - pneumonias,
            "positive": 1 - balanced["specificity"],
            "unclear": max(0.0, balanced["specificity"] - screening["specificity"]),
            "negative": screening["specificity"],
        },
    }


def _share_of_pneumonias(*points: Mapping[str, float]) -> float:
    """Share of pneumonias among the images. Accuracy is the mean of recall and specificity, weighted by this share."""
    best = max(points, key=lambda point: abs(point["recall"] - point["specificity"]))
    difference = best["recall"] - best["specificity"]
    return (best["accuracy"] - best["specificity"]) / difference if difference else 0.0
