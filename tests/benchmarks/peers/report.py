"""The design of the report that this project began with: Flask, and ``model.predict`` in each request."""

import threading

import numpy as np
from flask import Flask, request

from ml.pictures.preprocess import to_tensor
from tests.benchmarks.peers import reading

app = Flask(__name__)
# Only one thread may use MNN's modules at a time.
lock = threading.Lock()

if reading.ENGINE == "keras":
    model = reading.BUNDLE.load_model()

    def probability(image: np.ndarray) -> float:
        return float(model.predict(to_tensor(image[None], reading.BUNDLE.preprocessing.scaling), verbose=0)[0, 1])
else:
    engine = reading.engine()

    def probability(image: np.ndarray) -> float:
        with lock:
            return float(engine.predict(image[None])[0, 1])


@app.post("/predict")
def predict() -> dict[str, float]:
    return {"probability": probability(reading.prepared(request.get_json()["image"]))}


if __name__ == "__main__":
    app.run(port=reading.PORT, threaded=True)
