"""The pictures of a report: the X-ray, and the X-ray with its map."""

import io
from typing import TYPE_CHECKING

from webapp.studies.files import heatmaps, stored
from webapp.studies.models import Image

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

#: Length of the longer side in pixels, for about 250 dpi.
SIDE = 900


def of(image: Image, *, with_map: bool) -> "list[Picture]":
    """The X-ray and, if there is a map, the X-ray with the map over it; empty if the file is gone.

    Raises:
        Refused: ``file_damaged``.
    """
    # Imported here, because few requests need it and every process would start more slowly.
    from PIL import Image as Pictures
    from PIL import ImageOps

    try:
        content = stored.read(image.preview.name, image.preview_hash)
    except FileNotFoundError:
        return []
    with Pictures.open(io.BytesIO(content)) as opened:
        plain = ImageOps.exif_transpose(opened).convert("L")
    plain.thumbnail((SIDE, SIDE))
    result = image.result
    if not with_map or not result or not image.width or not image.height:
        return [plain]
    drawn = heatmaps.png(bytes(result.heatmap), image.width, image.height, result.region)
    with Pictures.open(io.BytesIO(drawn)) as opened:
        overlay = opened.resize(plain.size)
    overlay.putalpha(overlay.getchannel("A").point(lambda alpha: alpha * 3 // 4))
    mapped = plain.convert("RGBA")
    mapped.alpha_composite(overlay)
    return [plain, mapped.convert("RGB")]
