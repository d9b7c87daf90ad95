"""Prepare an upload: make the model's input and a preview. This needs no deep-learning framework."""

import hashlib
import io
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

import cv2
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image as Picture

from ml.errors import ImageError
from ml.pictures import decode, dicom, xray
from ml.pictures.preprocess import Preprocessing, brightness, to_input
from webapp.dicom.services import uploaded
from webapp.storage.media import media
from webapp.studies.files import stored
from webapp.studies.models import Image
from webapp.studies.services.preparation import Prepared
from worker import bundle

T = TypeVar("T")

#: The approximate length of a preview's longer side, in pixels.
PREVIEW_SIDE = 1024
#: An upload that browsers can show, with at most this longer side and this many bytes, is its own preview: making one
#: would cost more than reading the upload.
SHOWN_SIDE, SHOWN_BYTES = 1536, 2**19

# Two threads of this module already use the processors, so the library's threads would only wait.
cv2.setNumThreads(1)


@cache
def models() -> dict[str, Preprocessing]:
    """The preprocessing for each model that reads the images, the primary model first.

    Raises:
        BundleError: a bundle cannot be read.
    """
    return {used.id: used.preprocessing for used in (bundle.current(), *bundle.shadows())}


def prepare(image: Image) -> Prepared:
    """Decode an upload, and store its preview and the exact input of each model.

    Raises:
        BundleError: a model's description cannot be read.
        ImageError: the upload cannot be read, or needs more memory than this process may use (``out_of_memory``).
        OSError: the storage cannot read or write a file.
        Refused: the upload is not what was stored (``file_damaged``).
    """
    try:
        return _prepare(image)
    except MemoryError:
        raise ImageError("out_of_memory", decode.OUT_OF_MEMORY) from None


def _prepare(image: Image) -> Prepared:
    content = stored.read(image.file.name, image.sha256)
    header_warnings = _from_header(image, content) if dicom.is_dicom(content) else []
    decoded = decode.read(content)
    picture = decoded.image
    # Work that the model's input does not depend on runs in another thread, so that one image uses two processors.
    shown = decoded.browsers_show and len(content) <= SHOWN_BYTES and max(picture.size) <= SHOWN_SIDE
    smaller = None if shown else _beside(_preview, picture)
    found = xray.find_without_sheet(picture)
    sheet = None if found.warnings else _beside(xray.sheet_warnings, picture)
    folder, name = image.pk.hex[:2], str(image.pk)
    width, height = picture.size
    inputs, hashes = {}, {}
    with media.batch():
        for model, preprocessing in models().items():
            exact = Picture.fromarray(to_input(found.image, preprocessing))
            # Run-length encoding suits the flat background, and is the fastest to write and to read.
            encoded = _encoded(exact, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
            inputs[model] = default_storage.save(f"inputs/{folder}/{name}.{model}.png", ContentFile(encoded))
            hashes[model] = hashlib.sha256(encoded).hexdigest()
        preview, preview_hash = str(image.file.name), ""
        if smaller:
            small = smaller()
            preview = default_storage.save(f"previews/{folder}/{name}.jpg", ContentFile(small))
            preview_hash = hashlib.sha256(small).hexdigest()
        mean = brightness(found.image)
    return Prepared(
        sha256=image.sha256 or hashlib.sha256(content).hexdigest(),
        width=width,
        height=height,
        inputs=inputs,
        input_hashes=hashes,
        region=[] if found.image is picture else list(found.box),
        warnings=(sheet() if sheet else found.warnings) + decoded.warnings + header_warnings,
        brightness=mean,
        preview=preview,
        preview_sha256=preview_hash,
    )


def _beside(work: Callable[[Picture.Image], T], picture: Picture.Image) -> Callable[[], T]:
    """Begin some work in another thread. Return a function that waits for its result."""
    try:
        return _thread().submit(work, picture).result
    except RuntimeError:  # a process at its memory limit may not be able to start a thread
        return partial(work, picture)


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "beside")


def _from_header(image: Image, content: bytes) -> list[dict[str, str]]:
    """Save the attributes of a DICOM file, even if its pixels cannot be read. Return the warnings from them."""
    return uploaded.describe(image, dicom.attributes_of(dicom.parse(content, pixels=False)))


def _preview(picture: Picture.Image) -> bytes:
    """The preview for pages. Averaging whole blocks of pixels takes a seventh of the time of an exact size."""
    factor = round(max(picture.size) / PREVIEW_SIDE)
    return _encoded(picture.reduce(factor) if factor > 1 else picture, "JPEG", quality=85)


def _encoded(picture: Picture.Image, form: str, **options: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()
