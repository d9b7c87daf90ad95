"""Intervals of the figures of ``ml folds`` on other hospitals' chests, from the images that the figures are shares of.

They need the index of the chests alone, so a bundle whose trainings are gone gets them, too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.dataset import external
from ml.dataset.external import Chest
from ml.evaluation.elsewhere_report import NIH
from ml.statistics import shares

Mask = NDArray[np.bool_]


def intervals(figures: dict[str, float], chests: Sequence[Chest]) -> dict[str, Any]:
    """The 95 % intervals of those figures that have one.

    Args:
        figures: from :func:`ml.experiments.folds_figures.figures`.
        chests: all chests that the trainings were measured on.

    Returns:
        By the figure's name: its ``interval`` (of shares Wilson's, of the AUC Hanley and McNeil's; each patient counts
        once) and the number of ``images``.

    Raises:
        ValueError: if a figure is no share of these chests' images.
    """
    patient = np.array([chest.sample.patient for chest in chests])
    result: dict[str, Any] = {}
    for name, (normal, pneumonia) in _classes(chests).items():
        auc, sick, well = f"{name}, AUC", len(np.unique(patient[pneumonia])), len(np.unique(patient[normal]))
        if auc in figures:
            images = int((normal | pneumonia).sum())
            result[auc] = {"interval": list(shares.hanley_mcneil(figures[auc], sick, well)), "images": images}
        rows = (
            (f"{name}, sensitivity at own threshold", pneumonia, sick),
            (f"{name}, specificity at own threshold", normal, well),
            (f"{name}, pneumonias called so", pneumonia, sick),
            (f"{name}, normals called normal", normal, well),
        )
        for figure, chosen, patients in rows:
            if figure in figures:
                hits = figures[figure] * chosen.sum()
                if abs(hits - round(hits)) > 1e-6:
                    raise ValueError(f"the trainings of this bundle were measured on other chests: {figure}")
                interval = shares.wilson(figures[figure], patients)
                result[figure] = {"interval": list(interval), "images": int(chosen.sum())}
    return result


def _classes(chests: Sequence[Chest]) -> dict[str, tuple[Mask, Mask]]:
    """Normals and pneumonias of each name that figures have. NIH's labels count as they are stated there."""
    source, quality, stated = (
        np.array([getattr(chest, name) for chest in chests]) for name in ("source", "quality", "stated")
    )
    truth = np.array([chest.sample.label for chest in chests])
    nih = source == NIH
    classes = {
        name: (chosen & (stated == "normal"), chosen & (stated == "pneumonia"))
        for name, chosen in (("NIH, experts", nih & (quality == external.EXPERT)), ("NIH, all", nih))
    }
    others = sorted(set(source.tolist()) - {NIH})
    return classes | {name: ((source == name) & (truth == 0), (source == name) & (truth == 1)) for name in others}
