"""Figures, checked by hand on a small example."""

import math

import numpy as np
import pytest

from ml.statistics import metrics

TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.3, 0.8, 0.2, 0.6, 0.7, 0.8, 0.9, 0.95])


def test_figures_at_a_threshold() -> None:
    figures = metrics.measure(TRUTH, SCORES, 0.5)
    assert metrics.confusion(TRUTH, SCORES, 0.5) == {"tn": 3, "fp": 1, "fn": 1, "tp": 5}
    assert figures["accuracy"] == pytest.approx(0.8)
    assert figures["precision"] == pytest.approx(5 / 6)
    assert figures["recall"] == pytest.approx(5 / 6)
    assert figures["specificity"] == pytest.approx(0.75)
    assert figures["f1"] == pytest.approx(5 / 6)
    # Correctly ordered pairs of a pneumonia and a normal, ties counted as half: 20.0 + 2 * 0.5 of 24.
    ordered = sum((p > n) + 0.5 * (p == n) for p in SCORES[TRUTH == 1] for n in SCORES[TRUTH == 0])
    assert figures["roc_auc"] == pytest.approx(ordered / 24)


def test_the_threshold_itself_counts_as_pneumonia() -> None:
    assert metrics.confusion(TRUTH, SCORES, 0.8)["tp"] == 3


def test_there_is_no_roc_auc_with_one_class_alone() -> None:
    figures = metrics.measure(np.ones(4, int), np.array([0.1, 0.6, 0.7, 0.8]), 0.5)
    assert math.isnan(figures["roc_auc"])
    assert figures["recall"] == 0.75
