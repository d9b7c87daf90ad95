"""Runs side by side as Markdown."""

import json
from pathlib import Path

import pytest

from ml.__main__ import main
from ml.errors import BundleError
from ml.experiments.table import markdown, read

RELEASED = Path(__file__).resolve().parents[2] / "models" / "vgg16-pneumonia-1.2.0"


def test_a_bundle_and_a_report_are_shown_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = read(RELEASED)
    del report["conditions"]["brighter"]
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    main(["table", f"released={RELEASED}", str(file)])
    runs, conditions = capsys.readouterr().out.split("\n\n")
    assert [line.split(" | ")[0] for line in runs.splitlines()] == ["| run", "| ---", "| released", "| report.json"]
    (brighter,) = [line for line in conditions.splitlines() if line.startswith("| brighter")]
    figures = read(RELEASED)["conditions"]["brighter"]
    assert f"{figures['roc_auc']:.4f} ({figures['intervals']['roc_auc'][0]:.4f}–" in brighter
    assert brighter.endswith("| – |")


def test_the_worst_group_is_named() -> None:
    report = read(RELEASED)
    report["groups"]["plain, large"]["roc_auc"] = 0.5
    assert "0.5000 (" in markdown({"x": report}).splitlines()[2]
    assert "plain, large" in markdown({"x": report}).splitlines()[2]


@pytest.mark.parametrize("content", ["", "{}", "not json"])
def test_a_report_without_figures_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(BundleError):
        read(tmp_path / "report.json")
    with pytest.raises(BundleError):
        read(tmp_path)
