"""Decode the names in a ZIP, which mostly do not declare their encoding.

A ZIP may mark a name as UTF-8, or carry it once more as UTF-8 in an extra field. Without that it is in whatever
encoding the computer used that made the ZIP, and has to be guessed, from all names of the ZIP together.
"""

import struct
import unicodedata
import zlib
from collections.abc import Iterator, Sequence

UTF8 = 0x800
UNICODE_PATH = 0x7075
#: Encodings of names, and how much more often they are met than the others. Without this, a German name of two words
#: counts as Hungarian and a Chinese one of two characters as traditional.
ENCODINGS = {
    "cp850": 1.75, "cp437": 1.7, "cp1252": 1.75, "gb18030": 1.6, "cp932": 1.2, "cp949": 1.0, "big5hkscs": 1.0,
    "cp852": 1.0, "cp1250": 1.0, "cp866": 1.0, "cp1251": 1.0,
    # Rarer ones, with which no name of those above is read otherwise: Greek, Turkish, Hebrew, Arabic, Thai, Portuguese,
    # Baltic, Central European, Cyrillic; Unix and older Macs.
    "cp737": 0.5, "cp1253": 0.5, "cp857": 0.5, "cp862": 0.5, "cp1256": 0.5, "cp874": 0.5, "koi8-r": 0.5, "koi8-u": 0.5,
    "euc_jis_2004": 0.5, "cp869": 0.5, "cp1254": 1.2, "cp1255": 0.9, "cp860": 1.1, "cp775": 0.7, "cp1257": 0.7,
    "iso8859-2": 0.5, "iso8859-5": 0.5, "cp855": 0.5, "mac-roman": 1.0, "mac-cyrillic": 0.6,
}  # fmt: skip
#: It has a character for each byte, so that it can stand for any name.
ANY = "cp437"
#: Bytes of names that a guess looks at; more of them make it no better.
SAMPLE = 8192


def decode(names: Sequence[tuple[bytes, bool, bytes]]) -> list[str]:
    """The names of a ZIP's files as text.

    Args:
        names: for each file its name, whether it is marked as UTF-8, and its extra fields.
    """
    decoded = [_declared_name(name, extra) or _utf8(name) for name, _, extra in names]
    unknown = [name for (name, _, _), text in zip(names, decoded, strict=True) if text is None]
    if not unknown:
        return [str(text) for text in decoded]
    encodings = _guess(unknown)
    return [
        _first(name, encodings) if text is None else text for (name, _, _), text in zip(names, decoded, strict=True)
    ]


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a file's extra data, as far as these are whole."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if at + 4 + length > len(extra):
            return
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _declared_name(name: bytes, extra: bytes) -> str | None:
    """The name in the extra field for it, unless the file was renamed since that was written."""
    for kind, field in extra_fields(extra):
        if kind == UNICODE_PATH and field[:1] == b"\1" and field[1:5] == struct.pack("<I", zlib.crc32(name)):
            return _utf8(field[5:])
    return None


def _utf8(name: bytes) -> str | None:
    """The name if it is UTF-8, marked as such or not: names of other encodings are practically never valid UTF-8."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _guess(names: Sequence[bytes]) -> list[str]:
    """Encodings that names may have, the most probable first."""
    import chardet  # its models take half a second to load, and few ZIPs need them

    sample = b"\n".join(dict.fromkeys(names))[:SAMPLE]
    found = chardet.detect_all(sample, ignore_threshold=True, include_encodings=list(ENCODINGS), compat_names=False)
    weights = {
        name: float(one["confidence"]) * ENCODINGS[name] * _plausibility(sample, name)
        for one in found
        if (name := str(one["encoding"])) in ENCODINGS
    }
    return [*sorted(weights, key=lambda name: (-weights[name], name)), ANY]


def _plausibility(sample: bytes, encoding: str) -> float:
    """Less than 1 if names would have characters that nobody types, such as box drawings and quotation marks."""
    foreign = [character for character in sample.decode(encoding, errors="ignore") if not character.isascii()]
    return 1.0 if all(character.isalnum() or unicodedata.category(character) == "Mn" for character in foreign) else 0.3


def _first(name: bytes, encodings: Sequence[str]) -> str:
    for encoding in encodings:
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("cp437 decodes everything")
