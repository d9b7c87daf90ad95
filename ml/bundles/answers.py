"""How often a bundle gives each answer, as it was measured on the patients that its training held out."""

from collections.abc import Mapping
from typing import Any


def measured(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The shares of pneumonias and of normal images that get each answer.

    They follow from sensitivity and specificity at the operating points ``balanced`` and ``screening``, on the held-out
    images as they are and changed, which is less flattering than as they are alone.

    Args:
        meta: of :class:`ml.bundles.bundle.Bundle`.

    Returns:
        For ``pneumonia`` and ``normal`` each how many images there were (``images``), each counted once, and by answer
        (``positive``, ``unclear``, ``negative``) the share that got it. Nothing where the bundle was not measured so.
    """
    try:
        points = meta["held_out"]["points"]
        balanced, screening = points["balanced"]["all"], points["screening"]["all"]
        images = int(points["balanced"]["plain"]["n"])
    except (KeyError, TypeError):
        return {}
    pneumonias = round(images * _pneumonias(balanced, screening))
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


def _pneumonias(*points: Mapping[str, float]) -> float:
    """The share of pneumonias among the images: accuracy lies between specificity and recall by just that."""
    best = max(points, key=lambda point: abs(point["recall"] - point["specificity"]))
    apart = best["recall"] - best["specificity"]
    return (best["accuracy"] - best["specificity"]) / apart if apart else 0.0
