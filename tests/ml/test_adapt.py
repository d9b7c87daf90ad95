"""Adapting the last layer to another hospital's images, tested with synthetic hidden layers."""

import csv
from pathlib import Path

import numpy as np
import pytest

from ml import cli
from ml.bundles import bundle
from ml.bundles.bundle import Bundle
from ml.dataset import data
from ml.evaluation import card_elsewhere, elsewhere_adapted
from ml.evaluation.robustness import Validation
from ml.inference.engines.head import log_odds
from ml.inference.engines.mnn_engine import MnnEngine
from ml.statistics import calibration, correction
from ml.statistics.correction import Correction
from ml.training import adapt
from tests import synthetic

COUNT, WIDTH = 160, 12
RNG = np.random.default_rng(3)
HIDDEN = np.maximum(RNG.normal(0.5, 1, (COUNT, WIDTH)), 0)
TRUTH = RNG.integers(0, 2, COUNT)
ODDS = 2 * TRUTH - 1 + RNG.normal(0, 0.7, COUNT)
PATIENTS = np.array([f"p{number}" for number in range(COUNT)])


def validation(patients: np.ndarray = PATIENTS, truth: np.ndarray = TRUTH) -> Validation:
    """A validation of unchanged images. Nothing looks at their pixels."""
    same = np.full(COUNT, "large")
    return Validation(np.zeros((COUNT, 1, 1), np.uint8), truth, np.full(COUNT, "plain"), same, patients, same)


@pytest.fixture(autouse=True)
def few_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try only two strengths: all of them take seconds."""
    monkeypatch.setattr(correction, "STRENGTHS", (0.0, 1.0))


def test_a_shift_that_is_linear_in_the_hidden_layer_is_corrected() -> None:
    found = adapt.compare(validation(), ODDS + 3 * HIDDEN[:, 0] - 2 * HIDDEN[:, 1], HIDDEN, 100)
    assert found.better
    assert found.differences["roc_auc"]["interval"][0] > 0.05
    assert found.differences["brier"]["interval"][1] < -0.02
    assert "ROC AUC" in found.text()


def test_adapting_is_not_better_if_there_is_nothing_to_gain() -> None:
    assert not adapt.compare(validation(), ODDS, HIDDEN, 100).better


def test_a_patient_is_never_in_training_and_test() -> None:
    """The hidden layer identifies the patient and nothing else. It helps only a fit on the patient's other image."""
    pairs = np.arange(COUNT) // 2
    identities = np.eye(COUNT // 2)[pairs]
    truth = TRUTH[pairs]
    found = adapt.compare(validation(PATIENTS[pairs], truth), RNG.normal(0, 1, COUNT), identities, 100)
    assert found.differences["roc_auc"]["value"] < 0.1


def test_the_gain_over_calibrating_is_measured_over_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere_adapted, "DRAWS", 4)
    unknown = np.where(np.arange(COUNT) % 20 == 0, -1, TRUTH)
    found = elsewhere_adapted.adapted(unknown, ODDS + 3 * HIDDEN[:, 0], HIDDEN, PATIENTS, (80,))["80"]
    assert found["draws"] == 4
    assert found["gain"]["roc_auc"][0] > 0.02
    for name, (value, *_) in found["gain"].items():
        assert value == pytest.approx(found["adapted"][name][0] - found["calibrated"][name][0])
    figures = {"at": "balanced", "origins": {}, "coverage": {}, "adapted": {"one": {"80": found}}}
    assert "| 80 | 4 | gain | +0." in "\n".join(card_elsewhere.text({"elsewhere": figures}))


@pytest.mark.long
def test_the_new_layer_gives_the_corrected_answers_through_the_engine(random_bundle: Bundle, tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    before = MnnEngine(random_bundle)
    hidden = before.hidden(inputs).astype(np.float64)
    odds = log_odds(random_bundle.weights(), hidden)
    assert calibration.probability(odds) == pytest.approx(before.predict(inputs)[:, 1], abs=1e-4)
    weights = np.random.default_rng(1).normal(0, 0.1, hidden.shape[1])
    found = Correction(0.5, weights, 0.2, 1.0)
    arrays, factor = adapt.corrected(random_bundle, found)
    after = MnnEngine(bundle.write_arrays(tmp_path / "new", arrays, random_bundle.meta))
    np.testing.assert_array_equal(after.hidden(inputs), before.hidden(inputs))
    corrected = calibration.probability(found.apply(odds, hidden) * factor)
    assert after.predict(inputs)[:, 1] == pytest.approx(corrected, abs=2e-3)  # weights are float16
    assert np.abs(corrected - calibration.probability(odds)).min() > 0.01


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty images of each class, in the service's export format."""
    folder = tmp_path_factory.mktemp("verdicts")
    with (folder / "reviews.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "verdict", "patient"])
        for number in range(100):
            name = f"{number}.jpeg"
            (folder / name).write_bytes(synthetic.xray_jpeg(number, (80, 70)))
            table.writerow([name, data.CLASSES[number % 2], f"patient {number}"])
    return folder / "reviews.csv"


@pytest.mark.parametrize("better", [True, False])
@pytest.mark.long
def test_the_command_writes_a_complete_bundle_only_if_it_is_better(
    better: bool, random_bundle: Bundle, verdicts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(adapt.Comparison, "better", better)
    monkeypatch.setattr(correction, "STRENGTHS", (1.0,))
    output = tmp_path / "new"
    arguments = ["adapt", "--model", str(random_bundle.path), "--verdicts", str(verdicts),
            "--output", str(output), "--version", "1.0.0"]  # fmt: skip
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "100 images of 100 patients" in printed
    assert output.exists() == better
    assert ("Calibration alone is the better choice" in printed) != better
    if better:
        new = Bundle.read(output)
        assert new.id == "random-adapted-1.0.0"
        assert new.meta["adapted_from"] == random_bundle.id
        assert new.meta["held_out"]["groups"]["plain, large"]["n"] == 100
        assert "Adapted to one place" in (output / "MODEL_CARD.md").read_text()
        changed = {name for name, values in new.weights().items() if (values != random_bundle.weights()[name]).any()}
        assert changed == {"probabilities/kernel", "probabilities/bias"}
        assert cli.main(arguments) == 2, "a bundle is never overwritten"


def test_too_few_images_are_refused(random_bundle: Bundle, xrays: Path, tmp_path: Path) -> None:
    few = [data.Sample(xrays / "x.jpeg", label, f"p{number}") for number in range(50) for label in (0, 1)]
    for samples in (few[:-1], [data.Sample(sample.path, sample.label, sample.patient[:1]) for sample in few]):
        with pytest.raises(ValueError, match="adapting needs 50 images of 10 patients in each class"):
            adapt.adapt(random_bundle, samples, tmp_path / "new", version="1.0.0")
    assert not (tmp_path / "new").exists()
