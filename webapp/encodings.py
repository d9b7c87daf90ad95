"""Clean names from people and other systems, and decode them if their encoding was not declared.

In ZIPs and forms, a name that is not UTF-8 has the encoding of the computer that sent it. The encoding has to be
guessed from all names that were sent together.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

#: Encodings of names, with weights for how common they are. Without weights, a German name of two words would count as
#: Hungarian, and a Chinese name of two characters as traditional Chinese.
WINDOWS = {
    "cp1252": 1.75, "gb18030": 1.6, "cp932": 1.2, "cp949": 1.0, "big5hkscs": 1.0, "cp1250": 1.0, "cp1251": 1.0,
    # Rarer encodings, with weights that do not change how names in those above are read: Greek, Turkish, Hebrew,
    # Arabic, Thai, Baltic, Central European, Cyrillic; Unix and older Macs.
    "cp1253": 0.5, "cp1254": 1.2, "cp1255": 0.9, "cp1256": 0.5, "cp874": 0.5, "cp1257": 0.7, "koi8-r": 0.5,
    "koi8-u": 0.5, "euc_jis_2004": 0.5, "iso8859-2": 0.5, "iso8859-5": 0.5, "mac-roman": 1.0, "mac-cyrillic": 0.6,
}  # fmt: skip
#: Encodings of DOS, which also occur in ZIPs.
DOS = {
    "cp850": 1.75, "cp437": 1.7, "cp852": 1.0, "cp866": 1.0, "cp737": 0.5, "cp857": 0.5, "cp862": 0.5, "cp869": 0.5,
    "cp860": 1.1, "cp775": 0.7, "cp855": 0.5,
}  # fmt: skip
#: An encoding with a character for each byte, so that it can decode any name.
ANY = "cp437"
#: Characters that people type in names and that are neither letters nor digits.
TYPED = "–’°©"
#: A Latin letter next to a Greek, Cyrillic, Hebrew or Arabic letter. Chinese and Japanese words can have Latin letters.
MIXED = re.compile("[a-zA-Z][Ͱ-ۿ]|[Ͱ-ۿ][a-zA-Z]")
#: Number of bytes of names that a guess examines. More would not improve it.
SAMPLE = 8192
#: Formatting characters that reverse the text direction, which can disguise a name as another.
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
#: Control characters and surrogates (halves of characters), which no database accepts.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
SURROGATES = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """A name in the form in which it is stored: NFC, without control and text-reversing characters."""
    visible = BIDI.sub("", CONTROLS.sub(" ", text))
    return unicodedata.normalize("NFC", SURROGATES.sub("\ufffd", visible)).strip()


def decode(names: Sequence[bytes], weights: Mapping[str, float]) -> list[str]:
    """Decode names that were sent together.

    Args:
        names: names in UTF-8 or in one of the encodings.
        weights: the encodings, with how common each is.
    """
    unknown = [name for name in names if not is_utf8(name)]
    encodings = ["utf-8", *(_guess(unknown, weights) if unknown else ())]
    return [_first(name, encodings) for name in names]


def is_utf8(name: bytes) -> bool:
    """Whether a name is UTF-8, whether declared or not. Names in other encodings are hardly ever valid UTF-8."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _guess(names: Sequence[bytes], weights: Mapping[str, float]) -> list[str]:
    """Possible encodings of names, most probable first."""
    import chardet  # its models take half a second to load, and few names need them

    sample = b"\n".join(dict.fromkeys(names))[:SAMPLE]
    guesses = chardet.detect_all(sample, ignore_threshold=True, include_encodings=list(weights), compat_names=False)
    likely = {
        name: float(guess["confidence"]) * weights[name] * _plausibility(sample, name)
        for guess in guesses
        if (name := str(guess["encoding"])) in weights
    }
    return [*sorted(likely, key=lambda name: (-likely[name], name)), ANY]


def _plausibility(sample: bytes, encoding: str) -> float:
    """Less than 1 if names would have characters that nobody types, such as box drawing, or words in two alphabets."""
    text = sample.decode(encoding, errors="ignore")
    foreign = (character for character in text if not character.isascii())
    plausible = all(char.isalnum() or char in TYPED or unicodedata.category(char) == "Mn" for char in foreign)
    return 1.0 if plausible and not MIXED.search(text) else 0.3


def _first(name: bytes, encodings: Sequence[str]) -> str:
    for encoding in encodings:
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("cp437 decodes everything")
