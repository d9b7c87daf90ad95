"""ZIPs of all kinds, valid, odd and damaged, and the checks of each."""

import bz2
import io
import random
import struct
import warnings
import zipfile
import zlib
from functools import cache

from tests import synthetic
from tests.fuzz.mutations import LIMITS, mutated
from tests.zips import DEFLATED, ENCRYPTED, STORED, UTF8, File, build, unicode_path
from webapp.http.codes import STATUSES
from webapp.refusals import Refused
from webapp.studies.files import names, signatures, zips

TOKENS = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08", b"up", b"\x01\x00")
NAMES = (
    b"a.jpg", b"ward/b.jpg", b"ward\\c.jpg", b"", b"/", b"..", b"../../d.jpg", b"C:\\e.jpg", b"Thumbs.db", b"Icon\r",
    b"__MACOSX/._a.jpg", b"x" * 400 + b".jpg", b"a\x00b.jpg", b"folder/", "Größe.jpg".encode(),
    "Größe.jpg".encode("cp850"), "レントゲン.jpg".encode("cp932"), "胸片.jpg".encode("gbk"),
    "Dvořák.jpg".encode("cp1250"), b"\xff\xfe\x80.jpg", "photo\u202egpj.exe".encode(), b"[Content_Types].xml",
    b"\xed\xa0\x80.jpg",
)  # fmt: skip


@cache
def contents() -> tuple[bytes, ...]:
    jpeg, png = synthetic.xray_jpeg(0, (64, 64)), synthetic.xray_png(0, (64, 64))
    packed = synthetic.zip_of({"a.jpg": jpeg}), bz2.compress(jpeg), b"7z\xbc\xaf\x27\x1c"
    return jpeg, png, b"", b"text", bytes(70_000), *packed


def case(number: int) -> bytes:
    """The ZIP of a case."""
    draw = random.Random(f"zip {number}")
    files = [_file(draw) for _ in range(draw.choice((0, 1, 2, 3, 3, 8)))]
    content = build(
        *files,
        comment=draw.choice((b"", b"", b"PK\x05\x06", bytes(300))),
        count=draw.choice((None, None, None, None, 0, 99, 0xFFFF)),
        disk=draw.choice((0, 0, 0, 0, 0, 3, 0xFFFF)),
    )
    if draw.random() < 0.1:
        content = b"#!/bin/sh\n" + content
    return mutated(content, draw, TOKENS) if draw.random() < 0.7 else content


def _file(draw: random.Random) -> File:
    name = draw.choice(NAMES)
    odd = draw.random() < 0.4
    return File(
        name,
        draw.choice(contents()),
        flags=draw.choice((0, 0, UTF8, 8, ENCRYPTED)) if odd else draw.choice((0, UTF8)),
        method=draw.choice((STORED, DEFLATED, 9, 12, 14, 93, 99, 1234)) if odd else draw.choice((STORED, DEFLATED)),
        extra=draw.choice((b"", b"\1", unicode_path(name, "Größe.jpg"), struct.pack("<HHQ", 1, 8, 2**64 - 1)))
        if odd
        else b"",
        crc=draw.choice((None, None, 0)) if odd else None,
        size=draw.choice((None, None, *LIMITS)) if odd else None,
        system=draw.choice((0, 3)),
        attributes=draw.choice((0, 0x10, 0o120777 << 16, 0o40755 << 16)) if odd else 0,
        local_name=draw.choice((None, b"other.jpg")) if odd else None,
        version=draw.choice((20, 45, 99)) if odd else 20,
        offset=draw.choice((None, None, 7, 2**32 - 1)) if odd else None,
    )


def check(content: bytes) -> str:
    """Assert that a ZIP is read, or refused with a code, and that no file in it is overlooked.

    Returns:
        The outcome: a code, or ``read``.
    """
    try:
        with zips.opened(io.BytesIO(content)) as archive:
            archive.check(len(content))
            found = {entry.index: _read(archive, entry) for entry in archive.entries}
    except Refused as refusal:
        return _checked(refusal)
    for entry in archive.entries:
        assert 0 < len(entry.filename) <= names.LONGEST
        assert names.clean(entry.filename) == entry.filename
        assert not {"", ".", ".."} & set(entry.filename.split("/"))
    _compare(content, found)
    return "read"


def _checked(refusal: Refused) -> str:
    assert refusal.code in STATUSES
    assert len(refusal.detail) > 10
    return refusal.code


def _read(archive: zips.Archive, entry: zips.Entry) -> bytes | None:
    """An entry's content, None where it is refused."""
    if refused := entry.refused or signatures.size_refusal(entry.size):
        _checked(refused)
        return None
    try:
        content = archive.read(entry).read()
    except Refused as refusal:
        _checked(refusal)
        return None
    assert len(content) == entry.size
    return content


def _compare(content: bytes, found: dict[int, bytes | None]) -> None:
    """Assert that all files that zipfile can read were read as well, except folders and an operating system's files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for index, info in enumerate(archive.infolist()):
                    if info.compress_type not in zips.METHODS or names.is_litter(info.filename):
                        continue
                    expected = _read_by_zipfile(archive, info)
                    if expected:
                        _assert_same(index, info, expected, found)
        # zipfile raises these for a directory that it cannot read. Then there is nothing to compare with.
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, OSError, struct.error):
            return


def _assert_same(index: int, info: zipfile.ZipInfo, expected: bytes, found: dict[int, bytes | None]) -> None:
    if index not in found:
        # The name for which it was skipped may be in an encoding that zipfile does not guess.
        assert names.is_litter(info.filename.encode("cp437", "replace").decode("utf-8", "replace")), info
        return
    is_link = info.create_system == 3 and info.external_attr >> 16 & 0o170000 == 0o120000
    if is_link or info.compress_size > 2 * info.file_size + 1024:
        return
    assert found[index] == expected, info


def _read_by_zipfile(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | None:
    try:
        with archive.open(info) as stream:
            content = stream.read(2**20)
    except Exception:  # whatever zipfile raises for a damaged entry
        return None
    return content if zlib.crc32(content) == info.CRC and len(content) == info.file_size else None
