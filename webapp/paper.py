"""The font of all PDFs, and the replacement for letters that it lacks."""

from collections.abc import Mapping
from importlib.resources import files

#: Noto Sans has the letters of Latin, Greek, Cyrillic and Devanagari.
FONT = files("fontpkg_noto_sans") / "files" / "NotoSans[wdth,wght].ttf"
#: Replaces a letter that the font lacks. Otherwise the library would write the letter to the log.
LACKING = "\ufffd"


def printable(text: str, letters: Mapping[int, str]) -> str:
    """The text, with letters that are not in the font's map replaced by :data:`LACKING`."""
    return "".join(letter if ord(letter) in letters else LACKING for letter in text)
