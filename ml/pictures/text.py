"""Find places in a picture that look like text, with Tesseract."""

from typing import Any

import pytesseract
from PIL import Image, ImageOps

from ml.errors import EngineError

#: Least confidence (0 to 100) and least number of letters or digits of a word.
CONFIDENCE, LETTERS = 50, 3
#: Longest side, in pixels, of the copy that is searched. The letters of a console are about 20 of 2,000 pixels high.
SIDE = 2400


def find(picture: Image.Image) -> list[dict[str, Any]]:
    """Find places that look like a word.

    A person has to check the result: edges are sometimes taken for letters, and faint or handwritten letters are
    missed.

    Returns:
        Dictionaries with ``left``, ``top``, ``right`` and ``bottom`` in pixels, and ``confidence`` (0 to 100). The
        word itself is left out, since it may be a name.

    Raises:
        EngineError: Tesseract is not installed.
    """
    grey = picture.convert("L")
    scale = min(1.0, SIDE / max(grey.size))
    small = grey.resize((round(grey.width * scale), round(grey.height * scale)))
    places: dict[tuple[int, ...], dict[str, Any]] = {}
    for version in (small, ImageOps.invert(small)):  # letters are bright or dark
        for box, confidence in _words(version):
            left, top, right, bottom = (round(edge / scale) for edge in box)
            places[left // 20, top // 20] = {
                "left": left, "top": top, "right": right, "bottom": bottom, "confidence": round(confidence),
            }  # fmt: skip
    return list(places.values())


def _words(picture: Image.Image) -> list[tuple[tuple[int, int, int, int], float]]:
    try:
        # Mode 11: sparse text anywhere in the picture.
        table = pytesseract.image_to_data(picture, config="--psm 11", output_type=pytesseract.Output.DICT, timeout=60)
    except pytesseract.TesseractNotFoundError as error:
        raise EngineError(
            "Tesseract finds the text, and is not installed (Debian: apt-get install tesseract-ocr)"
        ) from error
    words = []
    for text, confidence, left, top, width, height in zip(
        *(table[name] for name in ("text", "conf", "left", "top", "width", "height")), strict=True
    ):
        if float(confidence) >= CONFIDENCE and sum(map(str.isalnum, text)) >= LETTERS:
            words.append(((left, top, left + width, top + height), float(confidence)))
    return words
