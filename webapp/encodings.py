"""Names as people and other systems send them, and how they are read where nobody declared their encoding.

In ZIPs and forms, a name that is not UTF-8 is in whatever encoding its computer uses, and has to be guessed, from all
names that came together.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

#: Encodings of names, and how much more often they are met than the others. Without this, a German name of two words
#: counts as Hungarian and a Chinese one of two characters as traditional.
WINDOWS = {
    "cp1252": 1.75, "gb18030": 1.6, "cp932": 1.2, "cp949": 1.0, "big5hkscs": 1.0, "cp1250": 1.0, "cp1251": 1.0,
    # Rarer ones, with which no name of those above is read otherwise: Greek, Turkish, Hebrew, Arabic, Thai, Baltic,
    # Central European, Cyrillic; Unix and older Macs.
    "cp1253": 0.5, "cp1254": 1.2, "cp1255": 0.9, "cp1256": 0.5, "cp874": 0.5, "cp1257": 0.7, "koi8-r": 0.5,
    "koi8-u": 0.5, "euc_jis_2004": 0.5, "iso8859-2": 0.5, "iso8859-5": 0.5, "mac-roman": 1.0, "mac-cyrillic": 0.6,
}  # fmt: skip
#: Those of DOS, which ZIPs have as well.
DOS = {
    "cp850": 1.75, "cp437": 1.7, "cp852": 1.0, "cp866": 1.0, "cp737": 0.5, "cp857": 0.5, "cp862": 0.5, "cp869": 0.5,
    "cp860": 1.1, "cp775": 0.7, "cp855": 0.5,
}  # fmt: skip
#: It has a character for each byte, so that it can stand for any name.
ANY = "cp437"
#: Characters in names that are neither letters nor figures.
TYPED = "–’°©"
#: A letter of Latin beside one of Greek, Cyrillic, Hebrew or Arabic. Chinese and Japanese words do have Latin letters.
MIXED = re.compile("[a-zA-Z][Ͱ-ۿ]|[Ͱ-ۿ][a-zA-Z]")
#: Bytes of names that a guess looks at; more of them make it no better.
SAMPLE = 8192
#: Formatting characters that reverse the text direction, which can disguise a name as another.
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: Control characters and halves of characters (surrogates), which no database takes.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """A name as it is stored: in the form NFC, without control characters and characters that reverse the direction."""
    visible = BIDI.sub("", CONTROLS.sub(" ", text))
    return unicodedata.normalize("NFC", SURROGATES.sub("\ufffd", visible)).strip()


def decode(names: Sequence[bytes], weights: Mapping[str, float]) -> list[str]:
    """Names that came together as text.

    Args:
        names: in UTF-8, or in one of the encodings.
        weights: how often each encoding is met.
    """
    unknown = [name for name in names if not is_utf8(name)]
    encodings = ["utf-8", *(_guess(unknown, weights) if unknown else ())]
    return [_first(name, encodings) for name in names]


def is_utf8(name: bytes) -> bool:
    """Whether a name is UTF-8, marked as such or not: names of other encodings are practically never valid UTF-8."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _guess(names: Sequence[bytes], weights: Mapping[str, float]) -> list[str]:
    """Encodings that names may have, the most probable first."""
    import chardet  # its models take half a second to load, and few names need them

    sample = b"\n".join(dict.fromkeys(names))[:SAMPLE]
    found = chardet.detect_all(sample, ignore_threshold=True, include_encodings=list(weights), compat_names=False)
    likely = {
        name: float(one["confidence"]) * weights[name] * _plausibility(sample, name)
        for one in found
        if (name := str(one["encoding"])) in weights
    }
    return [*sorted(likely, key=lambda name: (-likely[name], name)), ANY]


def _plausibility(sample: bytes, encoding: str) -> float:
    """Less than 1 if names would have characters that nobody types, such as box drawings, or words of two alphabets."""
    text = sample.decode(encoding, errors="ignore")
    foreign = (character for character in text if not character.isascii())
    typed = all(one.isalnum() or one in TYPED or unicodedata.category(one) == "Mn" for one in foreign)
    return 1.0 if typed and not MIXED.search(text) else 0.3


def _first(name: bytes, encodings: Sequence[str]) -> str:
    for encoding in encodings:
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("cp437 decodes everything")
