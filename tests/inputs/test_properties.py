"""Any depth, colour type, orientation, metadata and container give the plain picture's input and answer."""

import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ml.bundles.bundle import Bundle
from ml.inference import engines
from ml.pictures import xray
from ml.pictures.preprocess import Preprocessing, to_input
from tests import synthetic
from tests.inputs.conftest import PICTURE
from tests.inputs.containers import (
    CONTAINERS,
    STORED,
    Pixels,
    channels,
    chunk,
    deep,
    encoded,
    exif,
    in_jpeg,
    jpeg,
    png,
    segment,
    tiff,
    xmp,
)
from tests.inputs.tones import icc, profile, srgb
from tests.service import bundle

#: Largest mean difference of the model's input, in grey levels.
ALIKE = 2.0
DEPTHS = st.sampled_from([8, 9, 10, 12, 13, 14, 15, 16])
MODES = st.sampled_from(["L", "LA", "RGB", "RGBA"])
ORIENTATIONS = st.integers(1, 8)
SIZES = st.tuples(st.integers(64, 200), st.integers(64, 200))
#: Metadata around the pixels: intact and damaged, small and large.
CHUNKS: list[Callable[[], bytes]] = [
    lambda: b"",
    lambda: chunk(b"tEXt", b"Comment\0hello"),
    lambda: chunk(b"tEXt", b"Comment\0hello", checksum=7),
    lambda: chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21))),
    lambda: chunk(b"eXIf", b"II*\0garbage"),
    lambda: chunk(b"tIME", b"short"),
    lambda: chunk(b"pHYs", bytes(3)),
    lambda: icc(srgb()),
    lambda: icc(profile(1.8)),
    lambda: icc(b"garbage"),
]
SEGMENTS: list[Callable[[], bytes]] = [
    lambda: b"",
    lambda: segment(0xFE, b"a comment"),
    lambda: segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
    lambda: segment(0xE2, b"ICC_PROFILE\0\1\1" + srgb()),
    lambda: segment(0xE2, b"ICC_PROFILE\0\1\1garbage"),
    lambda: segment(0xE2, b"MPF\0garbage"),
    lambda: segment(0xED, b"Photoshop 3.0\0" + bytes(60_000)),
]


@st.composite
def file(draw: st.DrawFn, picture: Pixels) -> bytes:
    """The picture in some container, with or without metadata."""
    form = draw(st.sampled_from(["png", "tiff", "jpeg", "webp", "other"]))
    orientation = draw(ORIENTATIONS)
    stored = np.ascontiguousarray(STORED[orientation](picture))
    if form == "other":
        return CONTAINERS[draw(st.sampled_from(sorted(CONTAINERS)))](picture)
    if form == "jpeg":
        oriented = segment(
            0xE1, draw(st.sampled_from([exif(orientation), b"http://ns.adobe.com/xap/1.0/\0" + xmp(orientation)]))
        )
        metadata = [draw(st.sampled_from(SEGMENTS))() for _ in range(draw(st.integers(0, 3)))]
        kind = draw(st.sampled_from(["L", "RGB", "CMYK"]))
        return in_jpeg(jpeg(stored, kind, progressive=draw(st.booleans())), oriented, *metadata)
    if form == "webp":
        return encoded(Image.fromarray(stored).convert("RGB"), "WEBP", lossless=True, exif=exif(orientation))
    bits, mode = draw(DEPTHS), draw(MODES)
    values = stored if bits == 8 else deep(stored, bits)
    if bits not in (8, 16) and draw(st.booleans()):
        values = values.copy()
        values[draw(st.integers(0, len(values) - 1)), draw(st.integers(0, values.shape[1] - 1))] = 65535
    if form == "png":
        metadata = [draw(st.sampled_from(CHUNKS))() for _ in range(draw(st.integers(0, 3)))]
        return png(values, chunk(b"eXIf", exif(orientation)[6:]), *metadata, mode=mode)
    options = {"byteorder": draw(st.sampled_from("<>")), "compression": draw(st.sampled_from([None, "lzw", "deflate"]))}
    return tiff(
        channels(values, mode),
        photometric="rgb" if "RGB" in mode else "minisblack",
        extrasamples=["unassalpha"] if mode.endswith("A") else None,
        extratags=[(274, 3, 1, orientation, True)],
        **options,
    )


@pytest.mark.long
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data(), st.integers(0, 50), SIZES)
def test_any_container_gives_the_plain_pictures_input(data: st.DataObject, seed: int, size: tuple[int, int]) -> None:
    picture = np.asarray(synthetic.xray(seed, size))
    spec = Preprocessing()
    read = xray.load(data.draw(file(picture)))
    assert read.size == size
    plain = to_input(Image.fromarray(picture), spec).astype(float)
    assert np.abs(to_input(read, spec) - plain).mean() <= ALIKE


@pytest.fixture(scope="module")
def probability() -> Callable[[Image.Image], float]:
    used = Bundle.read(bundle())
    engine = engines.load(used.path)

    @cache
    def predict(pixels: bytes) -> float:
        size = used.preprocessing.size
        return float(engine.predict(np.frombuffer(pixels, np.uint8).reshape(1, size, size))[0, 1])

    return lambda image: predict(to_input(image, used.preprocessing).tobytes())


@pytest.mark.long
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_container_gives_the_plain_pictures_answer(
    data: st.DataObject, probability: Callable[[Image.Image], float]
) -> None:
    read = xray.load(data.draw(file(PICTURE)))
    assert abs(probability(read) - probability(Image.fromarray(PICTURE))) <= 0.02
