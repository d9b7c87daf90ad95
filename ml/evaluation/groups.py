"""A bundle's figures on other hospitals' chests by source, age, sex and view, with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.dataset import external
from ml.dataset.external import Chest
from ml.statistics import bootstrap, shares

#: A figure of fewer images than this is not shown.
FEWEST = 20
#: The first age, in years, of each group; the last group has no end.
AGES = ((0, "under 6"), (6, "6 to 17"), (18, "18 to 39"), (40, "40 to 59"), (60, "60 and over"))
SEXES = {"f": "female", "m": "male"}

Floats = NDArray[np.float64]


def measure(
    truth: NDArray[np.int64], probability: Floats, patient: NDArray[np.str_], points: dict[str, float]
) -> dict[str, Any]:
    """The figures of one group.

    Args:
        truth: ``(n,)`` of 0 and 1; -1 if there is no reliable label.
        probability: ``(n,)`` of pneumonia.
        patient: ``(n,)`` identifiers.
        points: the operating points' thresholds.

    Returns:
        ``normal`` and ``pneumonia``: the numbers of images and of patients. ``roc_auc`` if there are enough images of
        both. For each of ``points`` ``specificity`` and ``recall``, if there are enough images of the class. Each
        figure is a list: the value and its 95 % interval. That of the AUC is from draws of patients. The others are
        Wilson's and take each patient for one observation, because images of one patient are similar.
    """
    figures: dict[str, Any] = {"points": {name: {} for name in points}}
    for label, name, figure in ((0, "normal", "specificity"), (1, "pneumonia", "recall")):
        chosen = truth == label
        count, patients = int(chosen.sum()), len(np.unique(patient[chosen]))
        figures[name] = [count, patients]
        for point, threshold in points.items() if count >= FEWEST else ():
            share = float(((probability[chosen] >= threshold) == bool(label)).mean())
            figures["points"][point][figure] = [share, *shares.wilson(share, patients)]
    if min(figures["normal"][0], figures["pneumonia"][0]) >= FEWEST:
        known = truth >= 0
        labelled = truth[known], probability[known], next(iter(points.values()))
        interval = bootstrap.intervals(*labelled, patient[known])["roc_auc"]
        figures["roc_auc"] = [float(bootstrap.figures(*labelled)["roc_auc"]), *interval]
    return figures


def by_source(chests: Sequence[Chest]) -> dict[str, NDArray[np.bool_]]:
    """Which chests belong to each source, and which of a source were labelled by experts, if not all were."""
    source, quality = (np.array([getattr(chest, name) for chest in chests]) for name in ("source", "quality"))
    groups = {}
    for name in sorted(set(source.tolist())):
        groups[name] = source == name
        expert = groups[name] & (quality == external.EXPERT)
        if 0 < expert.sum() < groups[name].sum():
            groups[f"{name}, read by radiologists"] = expert
    return groups


def something_else(chests: Sequence[Chest]) -> NDArray[np.bool_]:
    """In which chests experts found something else than pneumonia, ``(n,)``."""
    return np.array([chest.stated == "other" and chest.quality == external.EXPERT for chest in chests])


def small_children(chests: Sequence[Chest]) -> list[int]:
    """How many normal chests and pneumonias are known to be of children under six."""
    young = [chest.sample.label for chest in chests if chest.age is not None and chest.age < AGES[1][0]]
    return [young.count(0), young.count(1)]


def of(chest: Chest) -> dict[str, str]:
    """The chest's groups by age, sex and view, so far as they are known."""
    age = next((name for first, name in reversed(AGES) if chest.age is not None and chest.age >= first), "")
    groups = {"age": age, "sex": SEXES.get(chest.sex[:1].lower(), ""), "view": chest.view.upper()}
    return {field: group for field, group in groups.items() if group}


def figures(chests: Sequence[Chest], probability: Floats, points: dict[str, float]) -> dict[str, Any]:
    """The figures of each source, and of its subgroups.

    Args:
        chests: other hospitals' chests.
        probability: ``(n,)`` of pneumonia.
        points: the operating points' thresholds.

    Returns:
        ``sources`` and ``subgroups``: :func:`measure` by source, and by source, field and group. Sources without a
        reliable label are left out. In ``others``, by source: of how many images of how many patients experts found
        something else than pneumonia, and for each point what share of them is called pneumonia, with its interval.
    """
    truth = np.array([chest.sample.label for chest in chests])
    patient = np.array([chest.sample.patient for chest in chests])
    other = something_else(chests)
    kinds = [of(chest) for chest in chests]

    def part(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        return measure(truth[chosen], probability[chosen], patient[chosen], points)

    result: dict[str, Any] = {"sources": {}, "subgroups": {}, "others": {}}
    for source, members in by_source(chests).items():
        labelled = members & (truth >= 0)
        if labelled.any():
            result["sources"][source] = part(labelled)
        fields: dict[str, Any] = {}
        for field, names in _ORDER.items() if labelled.sum() >= FEWEST else ():
            masks = {name: labelled & np.array([kind.get(field) == name for kind in kinds]) for name in names}
            present = {name: part(mask) for name, mask in masks.items() if mask.any()}
            if present:
                fields[field] = present
        if fields:
            result["subgroups"][source] = fields
        found = members & other
        if found.sum() >= FEWEST and "," not in source:
            result["others"][source] = _called(probability[found], patient[found], points)
    return result


_ORDER = {"age": [name for _, name in AGES], "sex": list(SEXES.values()), "view": ["PA", "AP"]}


def _called(probability: Floats, patient: NDArray[np.str_], points: dict[str, float]) -> dict[str, Any]:
    patients = len(np.unique(patient))
    called = {name: float((probability >= threshold).mean()) for name, threshold in points.items()}
    return {
        "other": [len(probability), patients],
        "points": {name: {"called": [share, *shares.wilson(share, patients)]} for name, share in called.items()},
    }
