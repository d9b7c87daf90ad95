"""What containers do to the answers: `python -m tests.inputs.report [--originals N] [--model BUNDLE] [--json FILE]`.

Each of the data set's originals goes into every container, and each file through the decoder and the model. It
prints for each container the largest difference of the probability to the plain 8-bit PNG's, and the labels it changes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from ml.bundles.bundle import Bundle
from ml.errors import ImageError
from ml.inference import engines, predict
from ml.pictures import decode, xray
from ml.pictures.preprocess import to_input
from tests.conftest import DATA, NO_DATA
from tests.inputs import builders
from tests.inputs.containers import CONTAINERS, EXACT, deep, png, tiff
from tests.service import bundle

#: Beside the containers: 12-bit data with one pixel at the end of 16 bits.
STRAY = {
    f"12 bits with a dead pixel, {mode}": lambda p, mode=mode: png(builders.stray(deep(p), 65535), mode=mode)
    for mode in ("L", "LA", "RGB", "RGBA")
} | {"12 bits with a dead pixel, TIFF": lambda p: tiff(builders.stray(deep(p), 65535))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--originals", type=int, default=0, metavar="N", help="so many, evenly chosen; all by default")
    parser.add_argument("--model", type=Path, default=bundle())
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    files = sorted(DATA.glob("originals/*/*.jpeg"))
    if not files:
        parser.error(NO_DATA)
    if asked.originals:
        files = [files[round(place)] for place in np.linspace(0, len(files) - 1, asked.originals)]
    rows = compare(files, asked.model)
    for row in sorted(rows, key=lambda row: -row["largest"]):
        print(f"{row['container']:40} {row['largest']:.5f}  labels changed {row['changed']}  refused {row['refused']}")
    largest = max(row["largest"] for row in rows)
    exact = max(row["largest"] for row in rows if row["container"] in EXACT or row["container"] in STRAY)
    changed, refused = (sum(row[name] for row in rows) for name in ("changed", "refused"))
    print(f"{len(files)} originals in {len(rows)} containers: largest difference {largest:.5f} ({exact:.5f} where no "
          f"pixel is lost), labels changed {changed}, refused {refused}")  # fmt: skip
    if asked.json:
        asked.json.write_text(json.dumps({"originals": len(files), "containers": rows}, indent=2) + "\n")


def compare(files: list[Path], model: Path) -> list[dict[str, Any]]:
    """For each container the largest difference, the labels changed and the files refused."""
    used = Bundle.read(model)
    engine = engines.load(model)
    built = CONTAINERS | STRAY
    rows = {name: {"container": name, "largest": 0.0, "changed": 0, "refused": 0} for name in built}
    for file in files:
        picture = np.asarray(decode.open_image(file.read_bytes()))
        names, inputs = ["PNG"], [to_input(xray.load(png(picture)), used.preprocessing)]
        for name, build in built.items():
            try:
                inputs.append(to_input(xray.load(build(picture)), used.preprocessing))
                names.append(name)
            except ImageError:
                rows[name]["refused"] += 1
        different = list({one.tobytes(): one for one in inputs}.values())  # most containers give the plain picture's
        read = dict(zip(map(bytes, different), predict.probabilities(engine, different), strict=True))
        answers = [float(read[bytes(one)]) for one in inputs]
        for name, answer in zip(names, answers, strict=True):
            rows[name]["largest"] = max(rows[name]["largest"], abs(answer - answers[0]))
            rows[name]["changed"] += used.label(answer) != used.label(answers[0])
    return list(rows.values())


if __name__ == "__main__":
    main()
