"""Pictures with borders and photographs of films on the command line: how they are read, and what is measured."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from ml import cli
from ml.bundles.bundle import Bundle
from ml.evaluation import bordered
from ml.evaluation.photographed import photograph
from ml.pictures.warnings import NO_LABEL
from tests import synthetic
from webapp.studies.choices import NOT_RELIABLE


@pytest.fixture
def held_out_bundle(random_bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle whose metadata says that every patient was held out."""
    copy = tmp_path / "held-out-0.0.1"
    shutil.copytree(random_bundle.path, copy)
    meta = json.loads((copy / "bundle.json").read_text())
    meta["training"] = {"recipe": {"held_out": 1.0, "seed": 7}}
    (copy / "bundle.json").write_text(json.dumps(meta))
    return copy


@pytest.mark.long
def test_predict_reads_inside_a_border_and_gives_a_photograph_no_label(
    random_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chest = synthetic.xray(5, (500, 400))
    chest.save(tmp_path / "plain.png")
    framed = Image.new("L", (700, 460), 255)
    framed.paste(chest, (120, 40))
    framed.save(tmp_path / "framed.png")
    (tmp_path / "taken.jpg").write_bytes(photograph(chest, np.random.default_rng(1)).content)
    names = [str(tmp_path / name) for name in ("plain.png", "framed.png", "taken.jpg")]
    out, maps = tmp_path / "out.json", tmp_path / "maps"
    status = cli.main(
        ["predict", "--model", str(random_bundle.path), "--json", str(out), "--heatmaps", str(maps), *names]
    )
    assert status == 0
    plain, inside, photographed = json.loads(out.read_text())
    assert inside["probability"] == pytest.approx(plain["probability"], abs=1e-5)
    assert inside["label"] == plain["label"]
    codes = [{warning["code"] for warning in row["warnings"]} for row in (plain, inside, photographed)]
    ignored = {"evidence_outside_lungs"}  # a random network may find evidence anywhere
    assert [found - ignored for found in codes] == [set(), {"borders_removed"}, {"photograph_of_film"}]
    assert photographed["label"] is None
    assert "no label  photograph_of_film" in capsys.readouterr().out
    with Image.open(plain["heatmap"]) as whole, Image.open(inside["heatmap"]) as part:
        assert part.size == (700, 460)
        alpha = part.getchannel("A")
        difference = ImageChops.difference(alpha.crop((120, 40, 620, 440)), whole.getchannel("A"))
        assert difference.getextrema()[1] <= 1, "an engine may round images of a batch differently"
        alpha.paste(0, (120, 40, 620, 440))
        assert alpha.getbbox() is None, "nothing lies on the border"


def test_predict_and_the_service_give_no_label_with_the_same_warnings() -> None:
    assert set(NOT_RELIABLE) == NO_LABEL


@pytest.mark.long
def test_the_effect_of_borders_is_measured(held_out_bundle: Path, xrays: Path, tmp_path: Path) -> None:
    others = tmp_path / "others"
    (others / "clinic").mkdir(parents=True)
    framed = bordered.strip(0.1, "lr", 255)(synthetic.xray(1, (300, 240)), np.random.default_rng(0))
    framed.save(others / "clinic" / "a.png")
    out = tmp_path / "out.json"
    arguments = ["--data", str(xrays), "--others", str(others), "--limit", "2", "--bordered", "1", "--json", str(out)]
    assert not cli.main(["borders", "--model", str(held_out_bundle), *arguments])
    found = json.loads(out.read_text())
    assert (found["plain"]["held-out patients"]["files"], found["plain"]["held-out patients"]["cut"]) == (4, 0)
    assert found["plain"]["held-out patients"]["before"] == found["plain"]["held-out patients"]["after"]
    assert (found["plain"]["clinic"]["files"], found["plain"]["clinic"]["cut"]) == (1, 1)
    assert found["bordered"].keys() == bordered.KINDS.keys()
    white = found["bordered"]["white strip of 10.0%, ltrb"]
    assert white["largest change with"] < white["largest change without"]


@pytest.mark.long
def test_the_effect_of_photographs_is_measured(held_out_bundle: Path, xrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--data", str(xrays), "--limit", "2", "--json", str(out)]
    assert not cli.main(["photographs", "--model", str(held_out_bundle), *arguments])
    found = json.loads(out.read_text())
    assert found["noticed"]["n"] == 4
    assert found["noticed"]["by any"] >= 0.5
    assert found["read"]["the X-rays' own files"]["labels changed"] == 0
    assert found["false_alarms"]["held-out patients"] == {"files": 4, "taken for photographs": 0}
