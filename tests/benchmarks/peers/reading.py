"""Code that all peers share: they decode base64, prepare the image and read it with this project's code."""

import base64
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.inference import engines
from ml.pictures import xray
from ml.pictures.preprocess import to_input

BUNDLE = Bundle.read(Path(os.environ["MODEL_BUNDLE"]))
ENGINE, PORT = os.environ["ENGINE"], int(os.environ["PORT"])
#: The same as PneumoQueue's.
MAX_BATCH = 16
#: Seconds for which a batch waits for more images.
BATCH_SECONDS = 0.02


def engine() -> engines.Engine:
    loaded = engines.load(BUNDLE.path, ENGINE)
    loaded.warm_up(MAX_BATCH)
    return loaded


def prepared(encoded: str) -> NDArray[np.uint8]:
    return to_input(xray.load(base64.b64decode(encoded)), BUNDLE.preprocessing)
