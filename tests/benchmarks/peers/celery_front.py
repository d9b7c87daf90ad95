"""Plain Celery's web front: a Flask application that waits for a task's result, or only sends the task."""

from flask import Flask, request

from tests.benchmarks.peers import reading
from tests.benchmarks.peers.celery_tasks import read

app = Flask(__name__)
sent = []


@app.post("/predict")
def predict() -> dict[str, float]:
    return {"probability": read.delay(request.get_json()["image"]).get(timeout=120)}


@app.post("/later")
def later() -> dict[str, int]:
    sent.append(read.delay(request.get_json()["image"]))
    return {"sent": len(sent)}


@app.get("/done")
def done() -> dict[str, int]:
    return {"done": sum(result.successful() for result in sent)}


if __name__ == "__main__":
    app.run(port=reading.PORT, threaded=True)
