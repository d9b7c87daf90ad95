"""Calibration, operating points and intervals, on cases whose answer is known."""

import numpy as np
import pytest

from ml.evaluation import assess
from ml.evaluation.robustness import Validation
from ml.statistics import bootstrap, calibration, metrics, operating
from ml.statistics.calibration import Calibration


def overconfident(n: int = 4000, factor: float = 3.0, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, the predictions of an overconfident network, and the probabilities that the truth was drawn with."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 1.5, n)
    true = 1 / (1 + np.exp(-odds))
    truth = (rng.random(n) < true).astype(int)
    return truth, 1 / (1 + np.exp(-(factor * odds + shift))), true


def test_platt_scaling_corrects_a_known_distortion() -> None:
    truth, predicted, true = overconfident()
    fitted = calibration.fit(truth, predicted)
    assert fitted.slope == pytest.approx(1 / 3, rel=0.1)
    assert fitted.intercept == pytest.approx(-1 / 3, abs=0.1)
    assert np.abs(fitted.apply(predicted) - true).max() < 0.05
    assert calibration.expected_calibration_error(truth, predicted) > 0.15
    assert calibration.expected_calibration_error(truth, fitted.apply(predicted)) < 0.03
    assert calibration.brier(truth, fitted.apply(predicted)) < calibration.brier(truth, predicted)


def test_cross_fitting_never_uses_a_patients_own_images() -> None:
    truth, predicted, _ = overconfident(400)
    # One patient with many images, all of which contradict the other patients' images.
    truth, predicted = np.append(truth, [0] * 200), np.append(predicted, [0.95] * 200)
    patients = np.append(np.arange(400), [400] * 200)
    own = patients == 400
    crossed = calibration.cross_fitted(truth, predicted, patients)
    assert crossed[own].min() > calibration.fit(truth, predicted).apply(predicted)[own].max() + 0.1
    assert crossed[own] == pytest.approx(calibration.fit(truth[~own], predicted[~own]).apply(predicted[own]), abs=0.05)
    with pytest.raises(ValueError, match="two held-out patients"):
        calibration.cross_fitted(truth[:4], predicted[:4], np.zeros(4))


def test_a_patient_with_images_of_both_classes_is_in_one_part() -> None:
    truth = (np.arange(160) % 4 == 0).astype(int)  # every other patient has one of each
    part = calibration.parts(truth, np.repeat([f"p{number}" for number in range(80)], 2))
    np.testing.assert_array_equal(part[::2], part[1::2])
    assert set(part.tolist()) == set(range(5))


def test_a_group_without_pneumonias_does_not_set_the_threshold() -> None:
    truth, predicted, _ = overconfident(200)
    sizes = np.where((truth == 0) & (np.arange(200) < 20), "small", "large")
    names = np.arange(200).astype(str)
    shown = Validation(np.zeros((200, 1, 1), np.uint8), truth, np.full(200, "plain"), sizes, names, names)
    choice = assess.choose(shown, predicted)
    assert set(choice.points) == {"balanced", "screening"}
    assert "small" not in choice.points["balanced"].rule


def test_calibrated_outputs_add_up_to_one() -> None:
    outputs = np.array([[0.2, 0.9], [0.9, 0.05]], dtype=np.float32)
    calibrated = Calibration("platt", 0.5, -0.2).apply_to_outputs(outputs)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1, atol=1e-6)
    assert calibrated.dtype == np.float32
    assert calibrated[0, 1] > calibrated[1, 1]
    np.testing.assert_array_equal(Calibration().apply_to_outputs(outputs), outputs)
    assert Calibration.from_json(Calibration("platt", 0.5, -0.2).to_json()) == Calibration("platt", 0.5, -0.2)
    with pytest.raises(ValueError, match="isotonic"):
        Calibration.from_json({"method": "isotonic"})


def test_probabilities_of_zero_and_one_stay_finite() -> None:
    calibrated = Calibration("platt", 2.0, 1.0).apply(np.array([0.0, 1.0]))
    assert 0 <= calibrated[0] < 0.01 < 0.99 < calibrated[1] <= 1


def test_reliability_counts_every_image_once() -> None:
    truth, predicted, _ = overconfident(500)
    bins = calibration.reliability(truth, predicted)
    assert sum(b["n"] for b in bins) == 500
    assert calibration.reliability(np.array([1, 0]), np.array([1.0, 0.0])) == [
        {"n": 1, "predicted": 0.0, "observed": 0.0}, {"n": 1, "predicted": 1.0, "observed": 1.0},
    ]  # fmt: skip


@pytest.mark.parametrize("sensitivity", [0.9, 0.97, 0.99, 1.0])
def test_the_operating_point_is_the_highest_threshold_with_its_sensitivity(sensitivity: float) -> None:
    truth, predicted, _ = overconfident(2000)
    threshold = operating.at_sensitivity(truth, predicted, sensitivity)
    assert metrics.measure(truth, predicted, threshold)["recall"] >= sensitivity
    # A threshold above the next pneumonia would miss that one too, which is one too many.
    higher = np.sort(predicted[(truth == 1) & (predicted >= threshold + 1e-4)])[0] + 1e-9
    missed = (predicted[truth == 1] < higher).mean()
    assert missed > 1 - sensitivity - 1e-9


def test_the_worst_group_sets_the_operating_point() -> None:
    truth = np.array([1] * 100 + [0] * 100)
    predicted = np.concatenate([np.linspace(0.5, 1, 100), np.linspace(0, 0.6, 100)])
    easy = np.zeros(200, dtype=bool)
    easy[50:150] = True
    hard = ~easy
    together = operating.at_sensitivity_everywhere(truth, predicted, [easy, hard], 0.95)
    assert together == operating.at_sensitivity(truth[hard], predicted[hard], 0.95)
    assert together < operating.at_sensitivity(truth[easy], predicted[easy], 0.95)


def test_intervals_contain_the_figure_and_agree_with_scikit_learn() -> None:
    truth, predicted, _ = overconfident(300)
    patients = np.arange(300)
    found = bootstrap.intervals(truth, predicted, 0.5, patients, rounds=200)
    figures = metrics.measure(truth, predicted, 0.5)
    for name, (low, high) in found.items():
        assert low < figures[name] < high, name
    everyone = bootstrap.figures(truth, predicted, 0.5)
    for name, value in everyone.items():
        assert value == pytest.approx(figures[name]), name
    tied = np.round(predicted, 1)
    assert bootstrap.figures(truth, tied, 0.5)["roc_auc"] == pytest.approx(metrics.measure(truth, tied, 0.5)["roc_auc"])


def test_similar_images_of_few_patients_widen_the_interval() -> None:
    truth, predicted, _ = overconfident(60)
    low, high = bootstrap.intervals(truth, predicted, 0.5, np.arange(60), rounds=300)["accuracy"]
    many = [np.repeat(values, 10) for values in (truth, predicted, np.arange(60))]
    repeated_low, repeated_high = bootstrap.intervals(many[0], many[1], 0.5, many[2], rounds=300)["accuracy"]
    assert repeated_high - repeated_low == pytest.approx(high - low, rel=0.3)
    narrow = bootstrap.intervals(many[0], many[1], 0.5, np.arange(600), rounds=300)["accuracy"]
    assert narrow[1] - narrow[0] < 0.6 * (high - low)
