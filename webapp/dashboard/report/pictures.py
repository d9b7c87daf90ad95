"""The pictures of a report: the X-ray, and the X-ray with its map."""

import io
from typing import TYPE_CHECKING

from django.core.files.storage import default_storage

from webapp.studies.files import heatmaps
from webapp.studies.models import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

#: About the longer side, in pixels: 250 to the inch.
SIDE = 900


def of(image: Image, *, with_map: bool) -> "list[Picture]":
    """The X-ray, and the X-ray with its map over it if there is one; nothing where its file is gone."""
    # Late: few requests need it, and every process would start slower.
    from PIL import Image as Pictures
    from PIL import ImageOps

    try:
        with default_storage.open(str(image.preview.name)) as file:
            content = file.read()
    except (FileNotFoundError, ValueError):
        return []
    with Pictures.open(io.BytesIO(content)) as opened:
        plain = ImageOps.exif_transpose(opened).convert("L")
    plain.thumbnail((SIDE, SIDE))
    result = image.result
    if not with_map or not result or not image.width or not image.height:
        return [plain]
    drawn = heatmaps.png(bytes(result.heatmap), image.width, image.height, result.region)
    with Pictures.open(io.BytesIO(drawn)) as opened:
        over = opened.resize(plain.size)
    over.putalpha(over.getchannel("A").point(lambda alpha: alpha * 3 // 4))
    mapped = plain.convert("RGBA")
    mapped.alpha_composite(over)
    return [plain, mapped.convert("RGB")]
