"""Damaged pictures of every format: each is decoded or refused with a code.

``python -m tests.inputs.fuzz [--cases N] [--seed N]``. The number of a case determines its file. It is written to
standard error before the case runs, so that it is known if a decoder crashes the process.
"""

import argparse
import collections
import json
import random
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from ml.errors import ImageError
from ml.pictures import decode
from tests import synthetic
from tests.inputs.builders import scan_pdf
from tests.inputs.cases_of_formats import FORMATS
from tests.inputs.cases_of_phones import PHONES
from tests.inputs.containers import CONTAINERS, chunk, exif, in_jpeg, jpeg, png, segment, tiff, xmp
from tests.inputs.tones import icc, profile

#: Longest time that a case may take, in seconds.
SLOW = 10.0
#: Bytes that programs often handle wrongly.
ODD = (
    b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff",
    b"\xff\xd9", b"\xff\xda", b"IEND", b"\0\1", b"\1\0",
)  # fmt: skip
#: Codes that a file may be refused with.
CODES = frozenset({
    "file_empty", "not_an_image", "format_not_supported", "image_too_small", "image_too_large", "image_truncated",
    "image_corrupt", "encoding_not_supported", "several_pictures", "pdf_encrypted", "pdf_without_picture",
    "out_of_memory", "dicom_not_a_radiograph", "dicom_without_pixels",
})  # fmt: skip


@cache
def corpus() -> list[bytes]:
    """A small file of each container, and some with much metadata."""
    picture = np.asarray(synthetic.xray(1, (72, 66)))
    with_metadata: list[Callable[[], bytes]] = [
        lambda: png(picture, icc(profile(1.8)), chunk(b"eXIf", exif(6)[6:]), chunk(b"tEXt", b"a\0b")),
        lambda: png(picture, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(6)))),
        lambda: in_jpeg(jpeg(picture), segment(0xE1, exif(6)), segment(0xE2, b"ICC_PROFILE\0\1\1" + profile(1.0))),
        lambda: tiff(picture, extratags=[(274, 3, 1, 6, True), (34675, 7, 0, profile(1.0), True)]),
        lambda: scan_pdf(picture),
    ]
    odd = (case.build for case in [*FORMATS, *PHONES])
    return [build(picture) for build in (*CONTAINERS.values(), *odd)] + [make() for make in with_metadata]


def case(number: int, files: Sequence[bytes] = ()) -> bytes:
    """The file of a case: one of ``files``, or of the corpus, damaged."""
    rng, files = random.Random(number), files or corpus()
    content = bytearray(rng.choice(files))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        # Most formats have their important fields at the start.
        at = rng.randrange(min(len(content), rng.choice((64, 512, len(content)))) or 1)
        change = rng.randrange(6)
        if change == 0:
            content[at : at + 1] = bytes([rng.randrange(256)])
        elif change == 1:
            odd = rng.choice(ODD)
            content[at : at + len(odd)] = odd
        elif change == 2:
            del content[at : at + rng.choice((1, 4, 64, 1024))]
        elif change == 3:
            content[at:at] = content[at : at + rng.choice((1, 4, 64, 1024))]
        elif change == 4:
            content = content[: max(1, rng.randrange(len(content) + 1))]
        elif content:
            other = rng.choice(files)
            content[at : at + 64] = other[at : at + 64]
        if not content:
            break
    return bytes(content)


def check(content: bytes) -> str:
    """Return the outcome of a file: ``read``, or the code that it was refused with.

    Raises:
        AssertionError: for a code that files are not refused with.
        Exception: any other error of the decoder.
    """
    try:
        image = decode.read(content).image
    except ImageError as error:
        code = error.code
    else:
        assert image.mode == "L"
        return "read"
    assert code in CODES, code
    return code


def run(
    numbers: range, case: Callable[[int], bytes] = case, check: Callable[[bytes], str] = check
) -> collections.Counter[str]:
    """Count the outcomes of cases.

    Args:
        case: makes the file of a case's number.
        check: returns the outcome of a file.

    Raises:
        AssertionError: for a case that was neither read nor refused, or took too long.
    """
    totals: collections.Counter[str] = collections.Counter()
    for number in numbers:
        print(f"\rcase {number}", end="", file=sys.stderr, flush=True)
        started = time.perf_counter()
        try:
            totals[check(case(number))] += 1
        except Exception as error:
            raise AssertionError(f"case {number}: {error!r}") from error
        took = time.perf_counter() - started
        assert took < SLOW, f"case {number} took {took:.1f} seconds"
    return totals


def main(run: Callable[[range], collections.Counter[str]] = run, cases: int = 100_000) -> None:
    parser = argparse.ArgumentParser(description="Read damaged files.")
    parser.add_argument("--cases", type=int, default=cases)
    parser.add_argument("--seed", type=int, default=0, help="number of the first case")
    options = parser.parse_args()
    started = time.monotonic()
    totals = run(range(options.seed, options.seed + options.cases))
    print(f"\r{options.cases} cases in {time.monotonic() - started:.0f} seconds", file=sys.stderr)
    print(json.dumps(dict(totals.most_common())))


def run_in_subprocess(module: str, cases: int, seed: int = 0) -> dict[str, int]:
    """Count the outcomes of cases in a separate process, because a decoder may crash it.

    Args:
        module: its :func:`main` runs the cases.
        cases: number of cases.
        seed: number of the first case.

    Raises:
        AssertionError: with the last output of the process, if it fails.
    """
    command = [sys.executable, "-m", module, "--cases", str(cases), "--seed", str(seed)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, f"ended with {result.returncode}: {result.stderr[-2000:]}"
    totals: dict[str, int] = json.loads(result.stdout)
    print(f"\n{totals}")
    return totals


if __name__ == "__main__":
    main()
