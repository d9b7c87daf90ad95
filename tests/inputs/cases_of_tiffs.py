"""Cases of TIFFs, as scanners, editors and research write them."""

import io

import numpy as np
import tifffile
from PIL import Image, ImageCms

from tests.inputs import tiffs
from tests.inputs.case import Case, refused, same
from tests.inputs.containers import CONTAINERS, STORED, Pixels, channels, deep, encoded, tiff, xmp

GREY_MAP = np.stack([np.arange(256, dtype=np.uint16)] * 3)


def lab(p: Pixels) -> bytes:
    space = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = ImageCms.profileToProfile(Image.fromarray(p).convert("RGB"), *space, outputMode="LAB")
    assert picture
    return encoded(picture, "TIFF")


def raw_file(p: Pixels) -> bytes:
    """A small copy with the sensor's values in a directory below it, as in a camera's DNG."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        small = np.ascontiguousarray(channels(p, "RGB")[::4, ::4])
        writer.write(small, photometric="rgb", subifds=1, subfiletype=1, metadata=None)
        writer.write(deep(p), photometric=32803, metadata=None)
    return stream.getvalue()


TIFF = [
    Case(
        "TIFF whose colours are multiplied by alpha",
        lambda p: tiff(np.dstack([p, p]), extrasamples=["assocalpha"]),
        same(),
        "editor",
    ),
    Case("TIFF of a palette of 8 bits", lambda p: tiff(p, photometric="palette", colormap=GREY_MAP), same()),
    Case(
        "TIFF's XMP orientation",
        lambda p: tiff(np.ascontiguousarray(STORED[6](p)), extratags=[(700, 1, len(xmp(6)), xmp(6), True)]),
        same(),
        "editor",
    ),
    Case("TIFF in CIE L*a*b*", lab, same(within=8), "editor"),
    Case("TIFF of a camera's raw values", raw_file, refused("encoding_not_supported"), "camera"),
    Case("TIFF float of 16 bits", lambda p: tiff((p / 255).astype(np.float16)), same(), "research"),
    Case(
        "TIFF with many features at once",
        lambda p: tiff(
            np.stack([deep(p)] * 3), photometric="rgb", planarconfig="separate", tile=(64, 64), bigtiff=True,
            byteorder=">", compression="lzw", predictor=2,
        ),
        same(),
        "research",
    ),
    Case("TIFF that does not say what black is",
         lambda p: tiffs.tagged(tiff(p), "PhotometricInterpretation", code=60_000), same(), "research"),
    Case("TIFF whose pixels lie in its header", lambda p: tiffs.tagged(tiff(p), "StripOffsets", 0),
         refused("image_corrupt"), "transfer"),
    Case("TIFF whose JPEG is cut off", lambda p: tiffs.shorter_strip(CONTAINERS["TIFF JPEG"](p)),
         refused("image_truncated"), "transfer"),
    Case("TIFF whose list of pages is a loop", tiffs.endless_pages, same(), "transfer"),
    Case("TIFF without pages", lambda p: b"II*\0" + bytes(99), refused("image_truncated"), "transfer"),
    Case("TIFF of NaN", lambda p: tiff(np.full(p.shape, np.nan, np.float32)), refused("image_corrupt"),
         "research"),
]  # fmt: skip
