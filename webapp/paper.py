"""What every PDF of the service has: its font, and how letters are written that the font lacks."""

from collections.abc import Mapping
from importlib.resources import files

#: Noto Sans has the letters of Latin, Greek, Cyrillic and Devanagari.
FONT = files("fontpkg_noto_sans") / "files" / "NotoSans[wdth,wght].ttf"
#: In place of a letter that the font lacks: the library would name it in the log.
LACKING = "\ufffd"


def printable(text: str, letters: Mapping[int, str]) -> str:
    """A text without letters that are not in the font's map."""
    return "".join(letter if ord(letter) in letters else LACKING for letter in text)
