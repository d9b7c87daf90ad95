"""A bundle's figures on other hospitals' chests, computed from synthetic answers."""

from dataclasses import replace

import numpy as np
import pytest

from ml.dataset import external
from ml.dataset.data import Sample
from ml.evaluation import card_elsewhere, elsewhere, elsewhere_report
from ml.evaluation.elsewhere import Chests
from ml.statistics import calibration
from tests.ml.test_evidence import BUNDLE


def chests(count: int = 400, seed: int = 1, *, blurred: float = 1.0, shift: float = 0.0) -> Chests:
    """Answers whose log-odds follow the truth, with noise scaled by ``blurred``, and are too high by ``shift``."""
    rng = np.random.default_rng(seed)
    truth = (np.arange(count) % 3 == 0).astype(np.int64)
    odds = 4 * truth - 2 + blurred * rng.normal(0, 2, count) + shift
    return Chests(
        truth,
        1 / (1 + np.exp(-odds)),
        np.array([f"p{number // 2}" for number in range(count)]),
        rng.uniform(0.2, 1, count),
        np.zeros(count),
        rng.uniform(0.5, 0.7, count),
        rng.random(count) < 0.75,
        np.zeros((count, 0), np.float32),
    )


def test_answers_have_the_figures_that_their_labels_allow() -> None:
    both = elsewhere.answers(chests(), 0.5)
    assert {"roc_auc", "recall", "specificity"} <= set(both)
    low, high = both["intervals"]["recall"]
    assert low < both["recall"] < high
    both_classes = chests()
    healthy = elsewhere.answers(replace(both_classes, truth=np.where(both_classes.truth == 1, -1, 0)), 0.5)
    assert "specificity" in healthy
    assert not {"recall", "roc_auc"} & set(healthy)
    unknown = elsewhere.answers(replace(both_classes, truth=np.full(400, -1)), 0.5)
    assert (unknown["n"], unknown["labelled"]) == (400, 0)
    assert not {"recall", "specificity"} & set(unknown)


def test_evidence_is_that_of_positive_images_whose_lungs_were_found() -> None:
    sample = replace(chests(4), probability=np.array([0.9, 0.9, 0.9, 0.1]), peak=np.array([True, False, True, True]),
                   inside=np.array([0.4, 0.8, np.nan, 0.1]))  # fmt: skip
    assert elsewhere.evidence(sample, 0.5) == {"n": 2, "peak_inside": 0.5, "median_inside": pytest.approx(0.6)}
    assert elsewhere.evidence(sample, 0.95) == {"n": 0}


def test_a_measure_helps_only_if_it_depends_on_the_errors() -> None:
    sample = chests()
    wrong = (sample.probability >= 0.5) != (sample.truth == 1)
    knowing = elsewhere.coverage(replace(sample, distance=wrong + 0.1), 0.5)
    assert knowing["distance"]["gain"][0] > 0
    assert knowing["distance"]["errors"]["0.5"] == 0
    blind = elsewhere.coverage(sample, 0.5)
    assert blind["distance"]["gain"][0] < 0
    assert blind["probability"]["gain"] == [0, 0]
    assert blind["probability"]["errors"]["0.5"] < blind["probability"]["errors"]["1.0"]


def test_a_measure_that_is_not_known_is_left_out() -> None:
    sample = chests()
    assert set(elsewhere.coverage(sample, 0.5)) == {"probability", "shifts", "distance", "ranks"}
    unknown = replace(sample, distance=np.full(400, np.nan))
    assert elsewhere.coverage(unknown, 0.5) == {"probability": elsewhere.coverage(sample, 0.5)["probability"]}


def test_the_calibration_error_of_true_probabilities_is_that_of_chance() -> None:
    rng = np.random.default_rng(5)
    true = rng.random(300)
    error = calibration.expected_calibration_error((rng.random(300) < true).astype(int), true)
    assert calibration.error_by_chance(true, rng) == pytest.approx(error, abs=0.03)
    assert calibration.error_by_chance(np.tile(true, 100), rng) < 0.01


def test_calibrating_corrects_a_shift_with_less_spread_for_more_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "DRAWS", 30)
    found = elsewhere.calibrated(chests(shift=3.0), 0.5, (50, 200))
    assert found["50"]["ece"][0] < 0.5 * found["released"]["ece"][0]
    assert found["50"]["chance"][0] < found["50"]["ece"][0] < found["50"]["chance"][0] + 0.08
    assert found["50"]["specificity"][0] > found["released"]["specificity"][0] + 0.1

    def width(size: str) -> float:
        _, low, high = found[size]["recall"]
        return float(high - low)

    assert width("200") < width("50")


@pytest.mark.long
def test_the_card_has_a_row_for_each_origin_and_none_without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "DRAWS", 5)
    own, other = chests(), chests(seed=2, blurred=2.0)
    rows = [
        external.Chest(Sample(BUNDLE.path, int(label), patient), "nih_chestxray14" if number % 4 else "b", "expert", "")
        for number, (label, patient) in enumerate(zip(other.truth.tolist(), other.patient.tolist(), strict=True))
    ]
    figures = elsewhere_report.measure(BUNDLE, own, other, rows)
    text = "\n".join(card_elsewhere.text({"elsewhere": figures}))
    for name in (elsewhere_report.OWN, "nih_chestxray14", "nih_chestxray14, read by radiologists", "b"):
        assert f"| {name} |" in text
    assert "| 200 |" in text
    assert card_elsewhere.text({}) == []
