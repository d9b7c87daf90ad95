"""How often a bundle gives each answer."""

import copy
import json
from pathlib import Path

import pytest

from ml.bundles import answers

MODELS = Path(__file__).resolve().parents[2] / "models"


def meta(version: str) -> dict:
    return json.loads((MODELS / f"vgg16-pneumonia-{version}" / "bundle.json").read_text())


@pytest.mark.parametrize("version", ["1.2.0", "1.3.0", "1.4.0"])
def test_the_shares_are_those_measured_in_the_bundle(version):
    found, points = answers.shares(meta(version)), meta(version)["held_out"]["points"]
    sick, well = found["pneumonia"], found["normal"]
    assert sick["positive"] == points["balanced"]["all"]["recall"]
    assert well["negative"] == points["screening"]["all"]["specificity"]
    for shares in (sick, well):
        assert sum(shares[group] for group in ("positive", "unclear", "negative")) == pytest.approx(1)
        assert min(shares.values()) >= 0
    # The data set's numbers of held-out files. The bundle counts each file twice: unchanged and changed.
    by_cause = meta(version)["held_out"]["subgroups"]
    sums = {name: sum(row["n"] for key, row in by_cause.items() if name in key) for name in ("pneum", "normal")}
    assert (2 * sick["images"], 2 * well["images"]) == (sums["pneum"], sums["normal"])


def test_there_are_no_shares_without_both_operating_points():
    for point in ("balanced", "screening"):
        without = copy.deepcopy(meta("1.2.0"))
        del without["held_out"]["points"][point]
        assert answers.shares(without) == {}
    assert answers.shares({}) == {}


def test_there_are_no_shares_if_accuracies_do_not_determine_the_counts():
    even = {"n": 100, "accuracy": 0.9, "recall": 0.9, "specificity": 0.9}
    both = {"all": even, "plain": even}
    assert answers.shares({"held_out": {"points": {"balanced": both, "screening": both}}}) == {}
