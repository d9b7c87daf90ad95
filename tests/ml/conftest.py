"""Networks with random weights, so that the tests of engines and commands need no training."""

import functools
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from ml.bundles import bundle
from ml.dataset import data
from ml.networks import architectures
from ml.pictures.preprocess import Preprocessing


@pytest.fixture(scope="session")
def random_bundle(tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    keras.utils.set_random_seed(1)
    model = architectures.build("vgg16", 64)
    meta = {
        "name": "random",
        "version": "0.0.1",
        "architecture": "vgg16",
        "classes": list(data.CLASSES),
        "preprocessing": Preprocessing(size=64).to_json(),
        "threshold": 0.5,
    }
    return bundle.write(tmp_path_factory.mktemp("bundles") / "random-0.0.1", model, meta)


@pytest.fixture(scope="session")
def built() -> Callable[..., keras.Model]:
    """Return :func:`ml.networks.architectures.build`, building each network of a size once for all tests: large ones
    take seconds. Their weights stay as the last test left them."""
    return functools.cache(architectures.build)


@pytest.fixture(scope="session")
def xrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the data set: ``NORMAL`` and ``PNEUMONIA`` with six synthetic images each, of six patients."""
    from tests import synthetic

    folder = tmp_path_factory.mktemp("xrays")
    for label in data.CLASSES:
        (folder / label).mkdir()
        for number in range(6):
            series = "IM" if number < 3 else "NORMAL2-IM"
            # With these numbers, the seeds of the tests hold out some of the patients and not all.
            name = f"{series}-{number:04d}-0001" if label == "NORMAL" else f"person{number + 4}_virus_{number}"
            seed = number + (100 if label == "NORMAL" else 0)
            (folder / label / f"{name}.jpeg").write_bytes(synthetic.xray_jpeg(seed, (180, 150)))
    return folder
