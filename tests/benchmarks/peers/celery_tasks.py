"""Plain Celery: a task for each image, and a worker with one process, whose engine uses all processors."""

import os

from celery import Celery, signals

from tests.benchmarks.peers import reading

app = Celery("peer", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
loaded = []


@signals.worker_process_init.connect
def load(**_: object) -> None:
    loaded.append(reading.engine())


@app.task
def read(encoded: str) -> float:
    return float(loaded[0].predict(reading.prepared(encoded)[None])[0, 1])
