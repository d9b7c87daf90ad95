"""Cases of what phones send: HEIC and AVIF."""

import io

import numpy as np
import pillow_heif
from PIL import Image

from tests.inputs import builders
from tests.inputs.case import Case, refused, same
from tests.inputs.containers import CONTAINERS, STORED, Pixels, encoded, exif, grey_heic, heic, xmp


def two_heic(p: Pixels) -> bytes:
    stream, picture = io.BytesIO(), Image.fromarray(p)
    file = pillow_heif.from_pillow(picture)
    file.add_from_pillow(picture)
    file.save(stream)
    return stream.getvalue()


PHONES = [
    *[Case(f"HEIC's orientation {way}", lambda p, way=way: heic(np.ascontiguousarray(STORED[way](p)), exif=exif(way)),
           same(within=2), "phone") for way in (3, 6)],
    *[Case(f"HEIC in grey of {bits} bits that declares {declared}",
           lambda p, b=build, d=declared: builders.with_depth(b(p), d), refused("image_corrupt"), "hostile")
      for bits, build, declared in ((8, grey_heic, 10), (8, grey_heic, 12), (10, CONTAINERS["HEIC grey 10 bits"], 8))],
    Case("HEIC with an item whose type is not text",
         lambda p: heic(p, exif=exif(1)).replace(b"Exif\0\0\0", b"Exi\xda\0\0\0"), refused("image_corrupt"), "hostile"),
    Case("HEIC that declares only the generic brand", lambda p: heic(p)[:8] + b"mif1" + bytes(4) + b"mif1" * 3
         + heic(p)[28:], same(within=2), "phone"),
    Case("HEIC of two pictures", two_heic, refused("several_pictures"), "phone"),
    Case("AVIF whose XMP names another orientation", lambda p: encoded(Image.fromarray(p), "AVIF", quality=95, speed=9,
                                                                       xmp=xmp(6)), same(within=2), "editor"),
    Case("AVIF's orientation 6", lambda p: encoded(Image.fromarray(STORED[6](p)).convert("RGB"), "AVIF", quality=95,
                                                   speed=9, exif=exif(6)), same(within=2), "phone"),
]  # fmt: skip
