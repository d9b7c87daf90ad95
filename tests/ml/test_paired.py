"""Comparing two models on the same patients, tested on constructed cases."""

import numpy as np
import pytest

from ml.statistics import bootstrap, paired
from ml.statistics.paired import Reading

N = 400
TRUTH = np.repeat([0, 1], N // 2)
PATIENTS = np.array([f"p{i // 2}" for i in range(N)])  # two images each


def scores(noise: float, seed: int = 0) -> np.ndarray:
    values = np.where(TRUTH == 1, 0.65, 0.35) + np.random.default_rng(seed).normal(0, noise, N)
    return np.clip(values, 0, 1)


POOR, GOOD = Reading("poor", scores(0.3), 0.5), Reading("good", scores(0.1, 1), 0.5)


def test_a_model_does_not_differ_from_its_copy() -> None:
    report = paired.compare(TRUTH, POOR, Reading("copy", POOR.probability.copy(), 0.5), PATIENTS, rounds=200)
    assert set(report["differences"]) == {"accuracy", "precision", "recall", "specificity", "f1", "roc_auc"}
    assert all(d == {"value": 0, "interval": (0, 0)} for d in report["differences"].values())
    assert report["mcnemar"] == {"only_first_right": 0, "only_second_right": 0, "p": 1.0}
    assert report["better"] is None
    assert report["verdict"] == "The data do not show which of poor and copy is better."


def test_a_better_model_is_found_whichever_comes_first() -> None:
    report = paired.compare(TRUTH, POOR, GOOD, PATIENTS, rounds=200)
    other = paired.compare(TRUTH, GOOD, POOR, PATIENTS, rounds=200)
    for name in ("accuracy", "roc_auc"):
        low, high = report["differences"][name]["interval"]
        assert 0 < low <= report["differences"][name]["value"] <= high
        assert other["differences"][name]["interval"] == pytest.approx((-high, -low))
    assert report["mcnemar"]["p"] < 0.001
    assert report["better"] == other["better"] == "good"
    assert report["verdict"].startswith("good is better than poor: accuracy (+0.")


def test_the_difference_is_that_of_the_two_models_figures() -> None:
    report = paired.compare(TRUTH, POOR, GOOD, PATIENTS, rounds=20)
    poor, good = (bootstrap.figures(TRUTH, r.probability, r.threshold) for r in (POOR, GOOD))
    assert report["differences"]["recall"]["value"] == pytest.approx(good["recall"] - poor["recall"])


def test_both_models_are_measured_on_the_same_draws() -> None:
    """The difference of two models with similar errors varies less between draws than each model's own figure."""
    alike = Reading("alike", np.clip(POOR.probability + np.random.default_rng(2).normal(0, 0.01, N), 0, 1), 0.5)
    low, high = paired.compare(TRUTH, POOR, alike, PATIENTS, rounds=300)["differences"]["roc_auc"]["interval"]
    alone = bootstrap.intervals(TRUTH, POOR.probability, 0.5, PATIENTS, rounds=300)["roc_auc"]
    assert high - low < 0.3 * (alone[1] - alone[0])


def test_draws_are_of_patients_and_not_of_images() -> None:
    """One patient with a hundred images counts once: the interval is wider than with a hundred patients."""
    crowd = np.where(np.arange(N) % (N // 2) < 100, np.where(TRUTH == 1, "ill", "well"), PATIENTS)
    wrong = np.where(crowd == "ill", 0.1, POOR.probability)
    worse = Reading("worse", wrong, 0.5)
    widths = []
    for patients in (crowd, np.arange(N)):
        low, high = paired.compare(TRUTH, POOR, worse, patients, rounds=200)["differences"]["recall"]["interval"]
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]


def test_a_better_order_with_a_bad_threshold_gives_a_mixed_verdict() -> None:
    report = paired.compare(TRUTH, POOR, Reading("sly", GOOD.probability, 0.05), PATIENTS, rounds=200)
    assert report["better"] is None
    assert report["verdict"].startswith("Neither is better in everything: sly has the higher ROC AUC")


def test_what_a_better_model_does_worse_is_reported() -> None:
    rng = np.random.default_rng(3)
    # The new model is almost certain of every normal image, and misses one in five pneumonias that the old one finds.
    first = np.where(TRUTH == 1, 0.9, np.where(rng.random(N) < 0.6, 0.8, 0.1))
    second = np.where(TRUTH == 1, np.where(rng.random(N) < 0.2, 0.4, 0.9), 0.1)
    report = paired.compare(TRUTH, Reading("old", first, 0.5), Reading("new", second, 0.5), PATIENTS, rounds=200)
    assert report["better"] == "new"
    assert "; yet its recall (-0." in report["verdict"]


def test_mcnemars_test_agrees_with_a_calculation_by_hand() -> None:
    first = np.array([True] * 5 + [True] * 1 + [False] * 8)
    second = np.array([True] * 5 + [False] * 1 + [True] * 8)
    report = paired.mcnemar(first, second)
    assert (report["only_first_right"], report["only_second_right"]) == (1, 8)
    # Both tails of nine throws of a coin with at most one head.
    assert report["p"] == pytest.approx(2 * (1 + 9) / 2**9)


def test_accuracy_alone_decides_only_if_mcnemars_test_agrees() -> None:
    """Correcting five images moves the interval away from 0, but McNemar's test stays insignificant."""
    better = POOR.probability.copy()
    wrong = np.flatnonzero((TRUTH == 1) & (POOR.probability < 0.5))
    _, one_of_each = np.unique(PATIENTS[wrong], return_index=True)
    better[wrong[one_of_each[:5]]] = 0.500001
    report = paired.compare(TRUTH, POOR, Reading("touched", better, 0.5), PATIENTS, rounds=200)
    assert report["mcnemar"]["p"] == pytest.approx(2 / 2**5)
    assert report["differences"]["accuracy"]["interval"][0] > 0
    assert "ROC AUC" in report["verdict"]
    assert "accuracy" not in report["verdict"]
