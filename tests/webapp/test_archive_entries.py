"""Unreadable entries of ZIPs, and other archives: each gets an error that names the cause, and the rest is read."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zlib

import pytest

from tests import synthetic
from tests.webapp.clients import JPEG, PNG
from tests.zips import ENCRYPTED, STORED, File, build
from webapp.studies.choices import Status
from webapp.studies.files import zips
from webapp.studies.models import Archive, Image, Study
from webapp.studies.services import archives

LINK = 0o120777 << 16
#: An extra field whose only number is larger than any file can be.
ZIP64 = struct.pack("<HHQ", 1, 8, 2**64 - 2)


@pytest.fixture
def listed(client, unpack_all):
    """Upload a ZIP and unpack it. Return the error code and sentence of each image by its name."""

    def run(content):
        answer = client.upload_study({"study.zip": content})
        assert answer.status_code == 202, answer.content
        unpack_all()
        study = client.get(answer.json()["url"]).json()
        assert study["total"] == Image.objects.count()
        return {image.filename: (image.error_code, image.error_detail) for image in Image.objects.all()}

    return run


def truncated_zip64():
    return struct.pack("<HHI", 1, 4, 0)


#: Entries, each with its error code and words of its error sentence.
BAD = [
    (File(b"encrypted.jpg", JPEG, ENCRYPTED), "archive_encrypted", "password"),
    (File(b"AES.jpg", JPEG, ENCRYPTED, method=99), "archive_encrypted", "password"),
    (File(b"Deflate64.jpg", JPEG, method=9), "archive_method_not_supported", "Deflate64"),
    (File(b"bzip2.jpg", bz2.compress(JPEG), method=12), "archive_method_not_supported", "bzip2"),
    (File(b"LZMA.jpg", lzma.compress(JPEG), method=14), "archive_method_not_supported", "LZMA"),
    (File(b"Zstandard.jpg", JPEG, method=93), "archive_method_not_supported", "Zstandard"),
    (File(b"unknown.jpg", JPEG, method=4321), "archive_method_not_supported", "method 4321"),
    (File(b"CRC.jpg", JPEG, crc=1), "image_corrupt", "damaged"),
    (File(b"longer.jpg", JPEG, size=len(JPEG) - 1), "image_corrupt", "damaged"),
    (File(b"shorter.jpg", JPEG, size=len(JPEG) + 1), "image_corrupt", "damaged"),
    (File(b"outside.jpg", JPEG, offset=2**31), "image_corrupt", "damaged"),
    (File(b"elsewhere.jpg", JPEG, offset=7), "image_corrupt", "damaged"),
    (File(b"beyond all files.jpg", JPEG, offset=2**32 - 1, extra=ZIP64), "image_corrupt", "damaged"),
    (File(b"no ZIP64.jpg", JPEG, size=2**32 - 1), "image_corrupt", "damaged"),
    (File(b"short ZIP64.jpg", JPEG, size=2**32 - 1, extra=truncated_zip64()), "image_corrupt", "damaged"),
    (File(b"link.jpg", b"../a.jpg", system=3, attributes=LINK), "not_an_image", "link"),
    (File(b"ZIP.jpg", synthetic.zip_of({"a.jpg": JPEG})), "archive_not_here", "ZIP inside a ZIP"),
    (File(b"7z.jpg", b"7z\xbc\xaf\x27\x1c" + bytes(60)), "archive_not_supported", "7z archive"),
    (File(b"empty.jpg"), "file_empty", "empty"),
    (File(b"text.jpg", synthetic.text()), "not_an_image", "a text file"),
]


def test_an_entry_that_cannot_be_read_fails_alone_and_says_why(listed):
    found = listed(build(File(b"a.jpg", JPEG), *(file for file, _, _ in BAD), File(b"c.png", PNG, method=STORED)))
    assert found.pop("a.jpg") == found.pop("c.png") == ("", "")
    assert {name: code for name, (code, _) in found.items()} == {file.name.decode(): code for file, code, _ in BAD}
    for file, _, words in BAD:
        assert words in found[file.name.decode()][1], file.name


@pytest.mark.parametrize(
    "file",
    [
        File(b"a.jpg", JPEG, extra=b"\x01"),
        File(b"a.jpg", JPEG, extra=struct.pack("<HH", 1, 99)),
        File(b"a.jpg", JPEG, extra=struct.pack("<HH", 0x7075, 3) + b"\1ab"),
        File(b"a.jpg", JPEG, local_name=b"b.jpg"),
        File(b"a.jpg", JPEG, local_name="ä.jpg".encode(), flags=0x800),
        File(b"a.jpg", JPEG, version=99),
        File(b"a.jpg", JPEG, flags=8),
        File(b"a.jpg", JPEG + b"more", size=len(JPEG), crc=zlib.crc32(JPEG)),
    ],
    ids=[
        "half an extra field",
        "a long extra field",
        "a short name field",
        "two names",
        "two encodings",
        "version",
        "flag 8",
        "more content than declared",
    ],
)
def test_an_unusual_but_readable_entry_is_read(listed, file):
    assert listed(build(file, File(b"c.png", PNG))) == {"a.jpg": ("", ""), "c.png": ("", "")}


@pytest.mark.parametrize("name", [b"", b"///", b".."])
def test_a_file_without_a_name_is_listed(listed, name):
    assert listed(build(File(name, JPEG), File(b"c.png", PNG))) == {"unnamed": ("", ""), "c.png": ("", "")}


def test_an_entry_with_an_absurd_size_is_listed_as_too_large(listed):
    size = struct.pack("<HHQ", 1, 8, 2**64 - 1)
    found = listed(build(File(b"a.jpg", JPEG), File(b"bad.jpg", JPEG, size=2**32 - 1, extra=size)))
    assert (found["a.jpg"][0], found["bad.jpg"][0]) == ("", "file_too_large")


def test_an_entry_that_is_not_unpacked_does_not_count_towards_the_studys_size(client, settings):
    settings.MAX_STUDY_BYTES = 10 * len(JPEG)
    vast = File(b"vast.jpg", JPEG, size=2**31)
    assert client.upload_study({"a.zip": build(File(b"a.jpg", JPEG), vast)}).status_code == 202


def test_an_entry_whose_last_byte_is_missing_is_read_if_its_content_is_complete():
    """The decompressor has consumed all bytes before it returns the first part of the content."""
    file = File(b"a.jpg", bytes(70_000))
    file.data = file.data[:-1]
    with zips.opened(io.BytesIO(build(file))) as archive:
        assert archive.read(archive.entries[0]).read() == bytes(70_000)


@pytest.mark.parametrize("comment", [b"from PK\x05\x06 the ward", b"PK\x05\x06" * 5000], ids=["once", "often"])
def test_a_comment_may_contain_the_signature_of_the_end_record(listed, comment):
    assert listed(build(File(b"a.jpg", JPEG), comment=comment)) == {"a.jpg": ("", "")}


def test_a_zip_with_a_split_marker_that_was_not_split_is_read(listed):
    assert listed(b"PK00" + build(File(b"a.jpg", JPEG))) == {"a.jpg": ("", "")}


def test_the_end_record_of_zip64_may_be_longer_than_usual(listed):
    content = build(File(b"a.jpg", JPEG))
    end_start = content.rindex(b"PK\5\6")
    count, length, offset = struct.unpack_from("<HII", content, end_start + 10)
    extra = b"a program's own"
    end = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44 + len(extra), 45, 45, 0, 0, count, count, length, offset) + extra
    locator = b"PK\6\7" + struct.pack("<IQI", 0, end_start, 1)
    placeholders = b"PK\5\6" + struct.pack("<4HIIH", *[0xFFFF] * 4, 2**32 - 1, 2**32 - 1, 0)
    assert listed(content[:end_start] + end + locator + placeholders) == {"a.jpg": ("", "")}


def test_bytes_after_the_end_of_the_zip_are_ignored(listed):
    assert listed(build(File(b"a.jpg", JPEG)) + b"\r\n") == {"a.jpg": ("", "")}


# --- ZIPs as a whole --------------------------------------------------------------------------------------------------

REFUSED = {
    "no directory": (build(File(b"a.jpg", JPEG))[:-60], 400, "archive_corrupt"),
    "only the start": (build(File(b"a.jpg", JPEG))[:500], 400, "archive_corrupt"),
    "fewer entries than declared": (build(File(b"a.jpg", JPEG), count=2), 400, "archive_corrupt"),
    "two ZIPs": (build(File(b"a.jpg", JPEG)) + build(File(b"b.jpg", JPEG)), 400, "archive_corrupt"),
    "a part of a split ZIP": (build(File(b"a.jpg", JPEG), disk=3), 400, "archive_split"),
    "all encrypted": (
        build(File(b"a.jpg", JPEG, ENCRYPTED), File(b"b.jpg", JPEG, ENCRYPTED)),
        400,
        "archive_encrypted",
    ),
    "a document": (build(File(b"[Content_Types].xml", b"<xml/>"), File(b"word/a.xml", b"<x/>")), 415, "not_an_image"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_unreadable_zip_alone_is_refused(client, problem, kind):
    content, status, code = REFUSED[kind]
    problem(client.upload_study({"a.zip": content}), status, code)
    assert not Study.objects.exists()


@pytest.mark.parametrize("kind", [kind for kind in REFUSED if kind != "a document"])
def test_an_unreadable_zip_among_other_files_is_named_in_the_refusal(client, problem, kind):
    """The whole study is refused, so that no part of it is missing later."""
    content, status, code = REFUSED[kind]
    document = problem(client.upload_study({"a.jpg": JPEG, "bad.zip": content}), status, code)
    assert document["detail"].startswith("bad.zip: ")
    assert not Study.objects.exists()


def test_a_document_among_images_fails_alone(client):
    content, _, code = REFUSED["a document"]
    answer = client.upload_study({"a.jpg": JPEG, "letter.docx": content, "good.zip": build(File(b"b.jpg", JPEG))})
    assert (answer.status_code, answer.json()["total"]) == (202, 3)
    letter = Image.objects.get(filename="letter.docx")
    assert (letter.status, letter.error_code, letter.file.name) == (Status.FAILED, code, "")
    assert "document" in letter.error_detail
    assert Archive.objects.get().filename == "good.zip"


# --- other archives ---------------------------------------------------------------------------------------------------


def tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.size = len(JPEG)
        archive.addfile(member, io.BytesIO(JPEG))
    return stream.getvalue()


OTHERS = {
    "7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(100),
    "RAR": b"Rar!\x1a\x07\x01\x00" + bytes(100),
    "TAR": tar(),
    "gzip": gzip.compress(JPEG),
    "bzip2": bz2.compress(JPEG),
    "XZ": lzma.compress(JPEG),
    "Zstandard": b"\x28\xb5\x2f\xfd" + bytes(100),
    "CAB": b"MSCF\0\0\0\0" + bytes(100),
    "LHA": b"\x20\x00-lh5-" + bytes(100),
    "split": b"PK\x07\x08" + bytes(100),
    "ARJ": b"\x60\xea" + bytes(100),
    "ACE": bytes(7) + b"**ACE**" + bytes(100),
    "EGG": b"EGGA" + bytes(100),
    "cpio": b"070701" + bytes(100),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_another_kind_of_archive_is_named_in_the_error(client, problem, kind):
    document = problem(client.upload(OTHERS[kind], "scans.jpg"), 415, "archive_not_supported")
    assert kind in document["detail"]
    client.upload_study({"a.jpg": JPEG, "scans.bin": OTHERS[kind]})
    failed = Image.objects.get(filename="scans.bin")
    assert (failed.error_code, failed.error_detail) == ("archive_not_supported", document["detail"])


# --- a ZIP that an earlier release began to unpack --------------------------------------------------------------------


def test_a_zip_that_an_earlier_release_counted_differently_loses_no_image(client, settings, unpack_all, sent):
    """The earlier release counted "THUMBS.DB" as an image, and was replaced after it had unpacked two files."""
    settings.UNPACK_CHUNK_FILES = 2
    files = [File(b"a.jpg", JPEG), File(b"THUMBS.DB", b"x"), File(b"b.jpg", JPEG), File(b"c.jpg", JPEG)]
    client.upload_study({"a.zip": build(*files)})
    archive = Archive.objects.get()
    Archive.objects.update(total=4, unpacked=2, state=Archive.State.UNPACKING)
    image = archives._image(archive, *open_first_entry(archive))
    image.save(force_insert=True)
    unpack_all()
    assert sorted(Image.objects.values_list("filename", flat=True)) == ["a.jpg", "b.jpg", "c.jpg"]
    archive.refresh_from_db()
    assert (archive.state, archive.unpacked) == (Archive.State.UNPACKED, 4)


def open_first_entry(archive):
    unzipped = zips.Archive(io.BytesIO(archive.file.read()))
    return unzipped, unzipped.entries[0]
