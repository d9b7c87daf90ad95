"""Open files in a process of its own: a decoder that crashes over a file ends that process, and not the command."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.errors import ImageError
from ml.pictures import decode, dicom, xray
from ml.pictures.borders import Box
from ml.pictures.preprocess import Preprocessing, to_input
from ml.pictures.warnings import outside_training

CRASHED = "Decoding this file ended the program that does it. Please export the image as DICOM or PNG."


@dataclass(frozen=True)
class Opened:
    """A file that was read.

    Attributes:
        input: ``(size, size)`` 8-bit greyscale, as the model sees it.
        size: the picture's width and height.
        box: the X-ray's place in it.
        warnings: ``{code, detail}`` each.
    """

    input: NDArray[np.uint8]
    size: tuple[int, int]
    box: Box
    warnings: list[dict[str, str]]


def opened(files: Iterable[Path], spec: Preprocessing) -> Iterator[Opened | ImageError | OSError]:
    """What each file holds, or why it cannot be read."""
    waiting = iter(files)
    while True:
        # Not a fork: this process may have threads.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            for file in waiting:
                try:
                    yield pool.submit(_open, file, spec).result()
                except (ImageError, OSError) as error:
                    yield error
                except BrokenProcessPool:
                    yield ImageError("image_corrupt", CRASHED)
                    break
            else:
                return


def _open(file: Path, spec: Preprocessing) -> Opened:
    content = file.read_bytes()
    decoded = decode.read(content)
    found = xray.find(decoded.image)
    warnings = [*found.warnings, *_from_header(content), *decoded.warnings]
    return Opened(to_input(found.image, spec), decoded.image.size, found.box, warnings)


def _from_header(content: bytes) -> list[dict[str, str]]:
    if not dicom.is_dicom(content):
        return []
    said = dicom.attributes_of(dicom.parse(content, pixels=False))
    return outside_training(said["age"], said["view_position"])
