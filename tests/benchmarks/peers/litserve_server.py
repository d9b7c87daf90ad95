"""LitServe with its batching: images are prepared one by one and read in batches."""

from typing import Any

import litserve
import numpy as np

from tests.benchmarks.peers import reading


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.engine = reading.engine()

    def decode_request(self, request: dict[str, str], **_: Any) -> np.ndarray:
        return reading.prepared(request["image"])

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, batch: np.ndarray, **_: Any) -> np.ndarray:
        return self.engine.predict(batch)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray, **_: Any) -> dict[str, float]:
        return {"probability": float(output[1])}


if __name__ == "__main__":
    api = Api(max_batch_size=reading.MAX_BATCH, batch_timeout=reading.BATCH_SECONDS)
    litserve.LitServer(api, accelerator="cpu", timeout=120).run(port=reading.PORT, generate_client_file=False)
