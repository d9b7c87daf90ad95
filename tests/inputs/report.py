"""How containers change the answers: `python -m tests.inputs.report [--originals N] [--model BUNDLE] [--answers FILE]`.

Each of the data set's originals is put into every container, and each file is decoded and read by the model. For each
container, it prints the largest difference from the plain 8-bit PNG's probability, and the number of changed labels.
`FILE` gets a line for each original as soon as it is read. A run that finds this file resumes from there.
"""

import argparse
import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bundles.bundle import Bundle
from ml.errors import ImageError
from ml.inference import engines, predict
from ml.pictures import decode, xray
from ml.pictures.preprocess import to_input
from tests.conftest import DATA, NO_DATA
from tests.inputs import builders
from tests.inputs.containers import CONTAINERS, EXACT, deep, png, tiff
from tests.service import bundle

#: In addition to the containers: 12-bit data with one pixel at the 16-bit maximum.
STRAY = {
    f"12 bits with a dead pixel, {mode}": lambda p, mode=mode: png(builders.stray(deep(p), 65535), mode=mode)
    for mode in ("L", "LA", "RGB", "RGBA")
} | {"12 bits with a dead pixel, TIFF": lambda p: tiff(builders.stray(deep(p), 65535))}
BUILT = CONTAINERS | STRAY
#: The container that the others are compared with.
PLAIN = "PNG"
#: Processes that build and decode files.
PROCESSES = 2

Input = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--originals", type=int, default=0, metavar="N", help="number of originals, evenly chosen; all by default"
    )
    parser.add_argument("--model", type=Path, default=bundle())
    parser.add_argument("--answers", type=Path, help="file of answers, a line for each original")
    options = parser.parse_args()
    files = sorted(DATA.glob("originals/*/*.jpeg"))
    if not files:
        parser.error(NO_DATA)
    if options.originals:
        files = [files[round(place)] for place in np.linspace(0, len(files) - 1, options.originals)]
    used = Bundle.read(options.model)
    lines = options.answers.read_text().splitlines() if options.answers and options.answers.exists() else []
    rows = [row for row in map(json.loads, lines) if row["model"] == used.id]
    remaining = [file for file in files if file.stem not in {row["original"] for row in rows}]
    for row in answers(remaining, options.model, used):
        rows.append(row)
        print(f"{len(rows)} of {len(files)}: {row['original']}", flush=True)
        if options.answers:
            with options.answers.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
    print_table(rows, used)


def answers(files: list[Path], model: Path, used: Bundle) -> Iterator[dict[str, Any]]:
    """For each original, its name, the model, and by container the probability or the code of the refusal."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        found = pool.imap_unordered(prepared, [(file, used) for file in files])
        engine = engines.load(model)
        for name, inputs in found:
            unique = {pixels.tobytes(): pixels for pixels in inputs.values() if not isinstance(pixels, str)}
            read = dict(zip(unique, predict.probabilities(engine, list(unique.values())), strict=True))
            results = {
                n: pixels if isinstance(pixels, str) else float(read[pixels.tobytes()]) for n, pixels in inputs.items()
            }
            yield {"original": name, "model": used.id, "containers": results}


def prepared(task: tuple[Path, Bundle]) -> tuple[str, dict[str, Input | str]]:
    """Return an original's name, and by container the model's input or the code of the refusal."""
    file, used = task
    picture = np.asarray(decode.open_image(file.read_bytes()))
    inputs: dict[str, Input | str] = {}
    known: dict[bytes, Input] = {}  # most containers give exactly the same pixels
    for name, build in BUILT.items():
        try:
            decoded = decode.open_image(build(picture))
        except ImageError as error:
            inputs[name] = error.code
            continue
        pixels = decoded.tobytes()
        if pixels not in known:
            known[pixels] = to_input(xray.without_borders(decoded)[0], used.preprocessing)
        inputs[name] = known[pixels]
    return file.stem, inputs


def print_table(rows: list[dict[str, Any]], used: Bundle) -> None:
    table = []
    for name in BUILT:
        pairs = [(row["containers"][name], row["containers"][PLAIN]) for row in rows]
        read = [(given, plain) for given, plain in pairs if not isinstance(given, str)]
        largest = max((abs(given - plain) for given, plain in read), default=0.0)
        changed = sum(used.label(given) != used.label(plain) for given, plain in read)
        table.append((largest, name, changed, len(pairs) - len(read)))
    for largest, name, changed, refused in sorted(table, reverse=True):
        print(f"{name:40} {largest:.5f}  labels changed {changed}  refused {refused}")
    exact = max(largest for largest, name, _, _ in table if name in EXACT or name in STRAY)
    changed, refused = (sum(row[place] for row in table) for place in (2, 3))
    print(
        f"{len(rows)} originals in {len(table)} containers: largest difference {max(table)[0]:.5f} ({exact:.5f} where "
        f"no pixel is lost), labels changed {changed}, refused {refused}"
    )


if __name__ == "__main__":
    main()
