"""The learning rate's schedule."""

from typing import Any

import keras
import numpy as np


@keras.saving.register_keras_serializable("pneumoqueue")
class Cosine(keras.optimizers.schedules.LearningRateSchedule):
    """Half a cosine over the whole run, with a linear warm-up at the start of each stage.

    Args:
        peak: the highest learning rate.
        total: the number of steps of the run.
        warm_up: the number of steps of the warm-up.
        before: the number of steps before this stage.
    """

    def __init__(self, peak: float, total: int, warm_up: int, before: int) -> None:
        super().__init__()
        self.peak, self.total, self.warm_up, self.before = peak, total, warm_up, before

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        share = (step + self.before) / max(1, self.total)
        down = 0.5 * (1 + keras.ops.cos(np.pi * keras.ops.minimum(share, 1.0)))
        up = keras.ops.minimum(1.0, (step + 1) / max(1, self.warm_up))
        return self.peak * up * keras.ops.maximum(down, 0.01)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "total": self.total, "warm_up": self.warm_up, "before": self.before}
