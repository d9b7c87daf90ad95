"""`python -m tests.benchmarks.growth_figure FILE`: draw the figures of :mod:`.growth` for docs/performance.md."""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from tests.service import ROOT

OUTPUT = ROOT / "docs" / "images" / "growth.svg"
COLORS = {"SQLite": "#31688e", "PostgreSQL": "#c0563b"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--into", type=Path, default=OUTPUT)
    args = parser.parse_args()
    results = json.loads(args.file.read_text())
    databases = {name: results[name] for name in COLORS if name in results}
    # Equal figures give equal bytes.
    plt.rcParams.update({"svg.hashsalt": "growth", "font.size": 9, "svg.fonttype": "none"})
    figure, (cost, workers) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, measured in databases.items():
        _cost(cost, name, measured["queues"])
        if measured["workers"]:
            _workers(workers, name, measured["workers"])
    cost.set(xscale="log", ylim=0, xlabel="images that wait, and as many with a result", ylabel="ms of an image")
    workers.set(ylim=0, xlabel="infer workers, each with a device that sleeps", ylabel="ms of an image")
    cost.legend()
    workers.legend()
    figure.suptitle(f"{results['processor']}, {results['cores']} cores, batches of {results['batch']}", fontsize=9)
    figure.savefig(args.into, metadata={"Date": None})


def _cost(axes: Any, name: str, queues: list[dict[str, Any]]) -> None:
    images = [point["images"] for point in queues]
    whole = [point["processor"] + point["server"] for point in queues]
    database = [point["steps"]["claim"] + point["steps"]["write results"] + point["server"] for point in queues]
    axes.plot(images, whole, "o-", color=COLORS[name], label=f"{name}: processor time")
    axes.plot(images, database, "s--", color=COLORS[name], label=f"{name}: claims, results and the server's")


def _workers(axes: Any, name: str, workers: list[dict[str, Any]]) -> None:
    numbers = [point["workers"] for point in workers]
    messages = [point["by process"]["parent"] + point["by process"]["redis"] for point in workers]
    axes.plot(
        numbers, [point["processor"] for point in workers], "o-", color=COLORS[name], label=f"{name}: processor time"
    )
    axes.plot(numbers, messages, "s--", color=COLORS[name], label=f"{name}: messages")


if __name__ == "__main__":
    main()
