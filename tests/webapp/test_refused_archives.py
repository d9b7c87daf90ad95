"""ZIP files that are refused as a whole, and directories that are too large."""

import io
import struct
import time
import tracemalloc
import zipfile

import pytest

from tests import synthetic
from tests.webapp.clients import JPEG
from webapp.refusals import Refused
from webapp.studies.files import zips
from webapp.studies.models import Study


def encrypted():
    """A ZIP whose one entry says that it is encrypted."""
    content = bytearray(synthetic.zip_of({"a.jpg": JPEG}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        content[archive.start_dir + 8] |= 1
    content[6] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (encrypted(), 400, "archive_encrypted"),
        (synthetic.zip_of({}), 400, "archive_empty"),
        (synthetic.zip_of({"folder/": b"", "__MACOSX/._a.jpg": b"x"}), 400, "archive_empty"),
        (synthetic.zip_of({"a.jpg": JPEG})[:-10], 400, "archive_corrupt"),
        (b"PK\x03\x04" + bytes(100), 400, "archive_corrupt"),
        (synthetic.zip_of({f"{n}.jpg": b"x" for n in range(6)}), 413, "archive_too_large"),
    ],
)
def test_an_unusable_zip_is_refused_with_its_own_code(client, problem, settings, content, status, code):
    settings.MAX_STUDY_FILES = 5
    problem(client.upload_study({"study.zip": content}), status, code)
    assert not Study.objects.exists()


def test_a_zip_with_as_many_entries_as_allowed_is_accepted(client, settings):
    settings.MAX_STUDY_FILES = 5
    assert client.upload_study({"a.zip": synthetic.zip_of({f"{n}.jpg": b"x" for n in range(5)})}).status_code == 202


def test_a_zip_that_unpacks_to_far_more_than_its_size_is_refused(client, problem, settings):
    settings.MAX_IMAGE_BYTES = 10**6
    content = synthetic.zip_of({"a.jpg": bytes(600_000), "b.jpg": bytes(600_000)})
    problem(client.upload_study({"a.zip": content}), 413, "archive_too_large")


def test_an_entry_is_unpacked_only_up_to_the_size_that_it_declares():
    content = bytearray(synthetic.zip_of({"a.jpg": bytes(5 * 10**6)}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.start_dir
    content[start + 24 : start + 28] = struct.pack("<I", 10)
    with zips.opened(io.BytesIO(content)) as archive, pytest.raises(Refused) as refused:
        archive.read(archive.entries[0])
    assert refused.value.code == "image_corrupt"


# --- a directory that is too large ------------------------------------------------------------------------------------


def directory_of(entries, *, count, zip64=False):
    """A ZIP that consists of a directory only.

    Args:
        entries: number of entries in the directory.
        count: number of entries that the end record declares.
        zip64: whether the numbers are in ZIP64 records.
    """
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0) + b"a.jpg"
    directory = entry * entries
    end64 = locator = b""
    if zip64:
        end64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), 4)
        locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 4 + len(directory), 1)
    small = (2**16 - 1, 2**32 - 1) if zip64 else (count, len(directory))
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, small[0], small[0], small[1], 4, 0)
    return b"PK\x03\x04" + directory + end64 + locator + end


@pytest.mark.parametrize(
    ("content", "comment"),
    [
        (directory_of(300_000, count=300_000 % 2**16), b""),
        (directory_of(300_000, count=10), b""),
        (directory_of(300_000, count=300_000, zip64=True), b""),
        (directory_of(300_000, count=10, zip64=True), b"a comment " * 6000),
        (directory_of(20_000, count=10), b""),
    ],
    ids=["honest", "lying", "zip64", "zip64 lying, with a comment", "small enough to be read"],
)
def test_a_directory_of_too_many_entries_is_not_parsed(content, comment, settings):
    settings.MAX_STUDY_FILES = 5_000
    content = content[:-2] + struct.pack("<H", len(comment)) + comment
    stream = io.BytesIO(content)
    tracemalloc.start()
    try:
        before = time.process_time()
        with pytest.raises(Refused) as refused:
            zips.entries(stream)
        seconds = time.process_time() - before
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.code == "archive_too_large"
    assert seconds < 0.05
    assert memory < 8 * 2**20


def test_a_directory_as_macos_writes_it_is_read(settings):
    """It has an entry for the folder, and two for each file."""
    settings.MAX_STUDY_FILES = 50
    files = {f"ward/{n}.jpg": JPEG for n in range(50)}
    content = synthetic.zip_of({"ward/": b"", **files, **{f"__MACOSX/ward/._{n}.jpg": b"x" for n in range(50)}})
    assert len(zips.entries(io.BytesIO(content))) == 50


def test_a_zip_after_other_bytes_and_with_a_comment_is_read():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.jpg", JPEG)
        archive.comment = b"from the ward"
    assert [entry.filename for entry in zips.entries(io.BytesIO(b"#!/bin/sh\n" + stream.getvalue()))] == ["a.jpg"]
