"""A bundle's figures by groups of patients, and the drawing of its failures, from synthetic answers."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from ml.bundles.bundle import Bundle
from ml.cli import main
from ml.dataset import external
from ml.dataset.data import Sample
from ml.dataset.external import Chest
from ml.evaluation import card, card_groups, failures, folds_intervals, groups, groups_report
from ml.evaluation.failures import Read
from ml.statistics import bootstrap, shares
from tests import synthetic
from tests.ml.test_evidence import BUNDLE, LUNGS

NIH = "nih_chestxray14"
POINTS = {"balanced": 0.5, "screening": 0.2}


def chest(number: int, label: int, source: str = NIH, quality: str = external.EXPERT, **known: str | float) -> Chest:
    stated = {0: "normal", 1: "pneumonia"}.get(label, "other")
    made = Chest(Sample(Path(f"{number}.jpeg"), label, f"{source}:{number // 2}"), source, quality, stated)
    return replace(made, **known)


def read(chests: list[Chest], seed: int = 1) -> Read:
    """Answers that follow the truth with noise. All evidence lies on one lung."""
    truth = np.array([each.sample.label for each in chests])
    odds = 3 * np.maximum(truth, 0) - 1.5 + np.random.default_rng(seed).normal(0, 1.5, len(chests))
    maps = np.zeros((len(chests), 14, 14), np.uint8)
    maps[:, 7, 3] = 255
    patient = np.array([each.sample.patient for each in chests])
    return Read(truth, 1 / (1 + np.exp(-odds)), patient, maps, np.repeat(LUNGS, len(chests), axis=0))


def hospital() -> list[Chest]:
    """60 women's chests of NIH and 8 men's; 30 of a source with pneumonias only; 20 with tuberculosis."""
    women = [chest(n, n % 2, age=30.0, sex="F", view="PA") for n in range(60)]
    men = [chest(100 + n, n % 2, age=70.0, sex="m", view="ap", quality=external.FROM_REPORTS) for n in range(8)]
    covid = [chest(n, 1, "covid", "case-level") for n in range(30)]
    return [*women, *men, *covid, *(chest(200 + n, -1) for n in range(20))]


def test_a_figure_needs_enough_images_and_has_an_interval_over_patients() -> None:
    chests = hospital()
    found = groups.figures(chests, read(chests).probability, POINTS)
    assert list(found["sources"]) == ["covid", NIH, f"{NIH}, read by radiologists"]
    women = found["subgroups"][NIH]["sex"]["female"]
    assert women["normal"] == [30, 30]
    value, low, high = women["points"]["balanced"]["recall"]
    assert [low, high] == list(shares.wilson(value, 30))
    assert women["roc_auc"][1] < women["roc_auc"][0] < women["roc_auc"][2]
    men = found["subgroups"][NIH]["sex"]["male"]
    assert men == {"normal": [4, 4], "pneumonia": [4, 4], "points": {"balanced": {}, "screening": {}}}
    covid = found["sources"]["covid"]
    assert covid["pneumonia"] == [30, 15]
    assert set(covid["points"]["balanced"]) == {"recall"}
    assert covid["points"]["balanced"]["recall"][1:] == list(
        shares.wilson(covid["points"]["balanced"]["recall"][0], 15)
    ), "two images of one patient count once"
    assert found["others"][NIH]["other"] == [20, 10]


def test_groups_are_read_from_the_index(tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(synthetic.xray_jpeg(1, (80, 70)))
    columns = ("file", "source", "label", "label_quality", "patient", "age_years", "sex", "view")
    rows = [
        ("a.jpeg", "s", "normal", "expert", "1", "5.9", "female", "ap"),
        ("a.jpeg", "s", "normal", "", "2", "40Y", "", ""),
    ]
    with (tmp_path / "index.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])
    chests = external.read(tmp_path)
    assert groups.of(chests[0]) == {"age": "under 6", "sex": "female", "view": "AP"}
    assert groups.of(chests[1]) == {}
    assert groups.small_children(chests) == [1, 0]


def test_the_interval_of_an_auc_without_answers_is_about_that_of_draws() -> None:
    rng = np.random.default_rng(3)
    truth = np.arange(200) % 2
    odds = truth * 1.5 + rng.normal(0, 1, 200)
    drawn = bootstrap.intervals(truth, odds, 0.5, np.arange(200))["roc_auc"]
    auc = bootstrap.figures(truth, odds, 0.5)["roc_auc"]
    assert shares.hanley_mcneil(auc, 100, 100) == pytest.approx(drawn, abs=0.02)
    assert shares.wilson(1.0, 10) == pytest.approx((0.722, 1), abs=0.001)


def test_stored_figures_of_trainings_get_the_intervals_of_their_images() -> None:
    chests = [chest(2 * n, n % 2) for n in range(40)]
    stored = {"NIH, experts, AUC": 0.9, "NIH, experts, sensitivity at own threshold": 0.85, "own, AUC": 0.99}
    found = folds_intervals.intervals(stored, chests)
    assert found == {
        "NIH, experts, AUC": {"interval": list(shares.hanley_mcneil(0.9, 20, 20)), "images": 40},
        "NIH, experts, sensitivity at own threshold": {"interval": list(shares.wilson(0.85, 20)), "images": 20},
    }
    with pytest.raises(ValueError, match="measured on other chests"):
        folds_intervals.intervals({"NIH, experts, sensitivity at own threshold": 0.87}, chests)


def test_failures_are_counted_by_kind_and_by_where_their_evidence_lay() -> None:
    chests = [chest(n, n % 2) for n in range(60)]
    answers = replace(read(chests), probability=np.where(np.arange(60) < 20, 0.6, np.arange(60) % 2))
    answers.maps[0] = 0
    answers.maps[2, 7, 3], answers.maps[2, 0, 0] = 0, 255
    found = failures.kinds(answers, {"here": np.full(60, True)}, 0.5)
    assert found["here: normal called pneumonia"].counts == {
        "of": 30, "misread": 10, "lungs": 8, "between": 0, "outside": 1, "unknown": 1,
    }  # fmt: skip
    assert found["here: pneumonia missed"].counts["misread"] == 0
    other = failures.kinds(
        replace(answers, truth=np.full(60, -1)), {"here": np.full(60, True)}, 0.5, np.arange(60) < 25
    )
    assert [(name, each.counts["misread"]) for name, each in other.items()] == [
        ("here: other finding called pneumonia", 22)
    ]


def test_the_drawing_is_small_and_shows_no_single_patient() -> None:
    chests = [chest(n, n % 2) for n in range(40)]
    all_wrong = replace(read(chests), probability=1.0 - np.arange(40) % 2)
    many = {f"hospital <{n}>": np.arange(40) >= n for n in range(4)}
    few = {"few": np.arange(40) < 2 * failures.FEWEST - 2}
    svg = failures.drawing(failures.kinds(all_wrong, {**many, **few}, 0.5))
    root = ElementTree.fromstring(svg)
    assert "Drawings, not X-rays" in svg
    assert "hospital &lt;3&gt;" in svg
    assert "few" not in svg
    assert not root.findall(".//{http://www.w3.org/2000/svg}image")
    assert len(svg) < 60_000


def test_a_bundle_is_not_measured_on_patients_that_it_learnt_from() -> None:
    chests = hospital()
    assert groups_report.never_seen(BUNDLE, chests) == chests
    learnt = replace(BUNDLE, meta={"training": {"external": {NIH: 68, "covid": 30}}})
    assert [each.sample.label for each in groups_report.never_seen(learnt, chests)] == [-1] * 20
    with pytest.raises(ValueError, match="has learnt from other chests"):
        groups_report.never_seen(learnt, chests[1:])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for name in ("bundle.json", "MODEL_CARD.md"):
        shutil.copy(BUNDLE.path / name, tmp_path)
    return tmp_path


def test_the_card_sets_the_figures_side_by_side(model: Path) -> None:
    chests, own = hospital(), [chest(n, n % 2, "own") for n in range(40)]
    assert "## Side by side" not in card.text(Bundle.read(model))
    figures = groups_report.write(Bundle.read(model), read(own), read(chests), chests, chests)
    text = (model / "MODEL_CARD.md").read_text()
    recall, low, high = figures["sources"][NIH]["points"]["balanced"]["recall"]
    assert f"{recall:.3f} ({low:.3f}–{high:.3f})" in text
    assert f"| {NIH} | sex: male | 4 | 4 |  | too few | too few | too few |" in text
    assert "0 normal and 0 with pneumonia are known to be of children" in text
    assert "A drawing, not an X-ray" in text
    assert (model / "failures.svg").read_text().startswith("<svg")


def test_the_card_of_a_bundle_that_learnt_elsewhere_has_its_trainings_figures(model: Path) -> None:
    chests, own = [chest(2 * n, n % 2) for n in range(40)], [chest(n, n % 2, "own") for n in range(40)]
    meta = json.loads((model / "bundle.json").read_text())
    names = ("sensitivity at own threshold", "specificity at own threshold")
    stored = {"worst block, AUC": 0.99, "block, specificity": 0.96, **{f"NIH, experts, {name}": 0.8 for name in names}}
    meta["folds"] = {"trainings": 3, "figures": stored}
    (model / "bundle.json").write_text(json.dumps(meta))
    others = [chest(300 + n, -1) for n in range(20)]
    groups_report.write(Bundle.read(model), read(own), read(others), others, chests)
    text = (model / "MODEL_CARD.md").read_text()
    assert "| NIH, experts | 20 normal, 20 pneumonia | own threshold | – | 0.800 (0.584–0.919) | 0.800" in text
    assert "**Not measured for this network.**" in text
    assert "trainings of its recipe missed 20.0% (8.1%–41.6%)" in text
    assert card_groups.text({}) == []


def test_the_command_reads_held_out_and_other_hospitals_chests(
    random_bundle: Bundle, xrays: Path, tmp_path: Path
) -> None:
    model, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    shutil.copytree(random_bundle.path, model)
    meta = {**json.loads((model / "bundle.json").read_text()), "training": {"recipe": {"held_out": 0.5, "seed": 1}}}
    (model / "bundle.json").write_text(json.dumps(meta))
    elsewhere.mkdir()
    with (elsewhere / "index.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("file", "source", "label", "label_quality", "patient"))
        for number in range(4):
            (elsewhere / f"{number}.jpeg").write_bytes(synthetic.xray_jpeg(number, (80, 70)))
            rows.writerow((f"{number}.jpeg", "a", "normal" if number % 2 else "pneumonia", "expert", number))
    assert main(["groups", "--model", str(model), "--data", str(xrays), "--external", str(elsewhere)]) == 0
    found = Bundle.read(model).meta["groups"]
    assert found["sources"]["a"]["normal"] == [2, 2]
    assert found["failures"]["a: pneumonia missed"]["of"] == 2
    assert any(name.startswith("held-out patients of its own hospital") for name in found["failures"])
    assert (model / groups_report.DRAWING).exists()
