"""A bundle's description of the X-rays that its network was trained on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml import cli
from ml.bundles.bundle import Bundle
from ml.evaluation import inputs
from ml.pictures.preprocess import brightness
from webapp.agreement.features import FEATURES


def test_the_service_divides_each_feature_into_the_same_parts() -> None:
    service_edges = {feature.name: feature.edges for feature in FEATURES}
    # The training files do not state their patients' ages.
    assert {name: edges for name, edges in service_edges.items() if name != "age"} == inputs.EDGES


def test_a_value_on_an_edge_belongs_to_the_part_above_in_both() -> None:
    side = next(feature for feature in FEATURES if feature.name == "side")
    for value in (100.0, 256.0, 700.0, 4096.0, 9000.0):
        counts = inputs.histogram("side", [value])["counts"]
        assert counts.index(1) == side.place(value)
        assert len(counts) == side.parts


def test_brightness_is_the_mean_grey_level_even_of_large_pictures() -> None:
    assert brightness(Image.new("L", (40, 30), 90)) == 90
    slope = np.tile(np.linspace(0, 255, 3000).astype(np.uint8), (2000, 1))
    assert brightness(Image.fromarray(slope)) == pytest.approx(slope.mean(), abs=1)


def test_the_command_writes_the_description_into_the_bundle(random_bundle: Bundle, xrays: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(random_bundle.path, tmp_path / "copy"))
    assert cli.main(["inputs", "--model", str(copy), "--data", str(xrays)]) == 0
    meta = json.loads((copy / "bundle.json").read_text())
    assert set(meta["inputs"]) == {"brightness", "side"}, "a bundle without a novelty check has no distances"
    # Every image has 180 by 150 pixels, so that all sides are in the first part.
    assert meta["inputs"]["side"]["counts"][0] == sum(meta["inputs"]["brightness"]["counts"]) > 0
    assert {key: value for key, value in meta.items() if key != "inputs"} == random_bundle.meta
    Bundle.read(copy)
