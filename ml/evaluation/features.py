"""Features of inputs, kept in a file, so that a second run of a long measurement reads only what is new."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml.inference import novelty
from ml.inference.engines import Engine
from ml.inference.novelty import Features, Inputs


class Kept:
    """What an engine gives for inputs, by their content.

    Args:
        engine: of one bundle.
        file: where features are kept (``.npz``), of this bundle only; None keeps none.
    """

    def __init__(self, engine: Engine, file: Path | None) -> None:
        self._engine, self._file = engine, file
        self._known: dict[str, Features] = {}
        if file and file.exists():
            with np.load(file, allow_pickle=False) as kept:
                self._known = dict(zip(kept["keys"].tolist(), kept["features"], strict=True))

    def of(self, inputs: Inputs | Sequence[Inputs]) -> Features:
        """The features of inputs, ``(n, d)``."""
        keys = [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in inputs]
        new = {key: image for key, image in zip(keys, inputs, strict=True) if key not in self._known}
        if new:
            found = novelty.features_of(self._engine, np.stack(list(new.values())))
            self._known |= dict(zip(new, found, strict=True))
            if self._file:
                with self._file.open("wb") as stream:
                    np.savez(stream, keys=np.array(list(self._known)), features=np.stack(list(self._known.values())))
        return np.stack([self._known[key] for key in keys])
