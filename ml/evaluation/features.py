"""A cache of features in a file, so that a second run of a long measurement reads only new inputs."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml.inference import novelty
from ml.inference.engines import Engine
from ml.inference.novelty import Features, Inputs


class FeatureCache:
    """An engine's features, cached by the content of the inputs.

    Args:
        engine: the engine, with one bundle loaded.
        file: the cache file (``.npz``), for this bundle only; None for no file.
    """

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self._engine, self._file = engine, file
        self._cache: dict[str, Features] = {}
        if file and file.exists():
            with np.load(file, allow_pickle=False) as arrays:
                self._cache = dict(zip(arrays["keys"].tolist(), arrays["features"], strict=True))

    def get(self, inputs: Inputs | Sequence[Inputs]) -> Features:
        """The features of inputs, ``(n, d)``."""
        keys = [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in inputs]
        new = {key: image for key, image in zip(keys, inputs, strict=True) if key not in self._cache}
        if new:
            features = novelty.features_of(self._engine, np.stack(list(new.values())))
            self._cache |= dict(zip(new, features, strict=True))
            if self._file:
                with self._file.open("wb") as stream:
                    np.savez(stream, keys=np.array(list(self._cache)), features=np.stack(list(self._cache.values())))
        return np.stack([self._cache[key] for key in keys])
