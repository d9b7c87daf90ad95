"""Open files in a separate process, so that a decoder that crashes on a file does not end the command."""

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
        input: ``(size, size)`` 8-bit greyscale, the model's input.
        size: the picture's width and height.
        box: the position of the X-ray in the picture.
        warnings: a ``{code, detail}`` for each warning.
    """

    input: NDArray[np.uint8]
    size: tuple[int, int]
    box: Box
    warnings: list[dict[str, str]]


def open_files(files: Iterable[Path], spec: Preprocessing) -> Iterator[Opened | ImageError | OSError]:
    """The content of each file, or the error why it cannot be read."""
    remaining = iter(files)
    while True:
        # Not forked, because this process may have threads.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            for file in remaining:
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
    region = xray.find(decoded.image)
    warnings = [*region.warnings, *_header_warnings(content), *decoded.warnings]
    return Opened(to_input(region.image, spec), decoded.image.size, region.box, warnings)


def _header_warnings(content: bytes) -> list[dict[str, str]]:
    if not dicom.is_dicom(content):
        return []
    attributes = dicom.attributes_of(dicom.parse(content, pixels=False))
    return outside_training(attributes["age"], attributes["view_position"])
