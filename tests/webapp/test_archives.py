"""ZIP files: entries that become images, are skipped, or fail alone."""

import io
import shutil
import struct
import tracemalloc
import zipfile
from uuid import UUID

import pytest

from tests import synthetic
from tests.webapp.clients import JPEG, PNG
from webapp.refusals import Refused
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.files import zips
from webapp.studies.models import Archive, Image


@pytest.fixture
def unpacked(client, unpack_all):
    """Upload a ZIP as a study and unpack it. Return the study's JSON afterwards."""

    def run(content):
        answer = client.upload_study({"study.zip": content})
        assert answer.status_code == 202, answer.content
        unpack_all()
        return client.get(answer.json()["url"]).json()

    return run


def error_codes():
    return dict(Image.objects.values_list("filename", "error_code"))


def stored(settings):
    """Return the names of all files in the storage."""
    files = (path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file())
    return {str(path.relative_to(settings.MEDIA_ROOT)) for path in files}


def test_a_zip_becomes_images(client, sent, unpacked, zipped):
    study = unpacked(zipped)
    assert (study["total"], study["counts"]["queued"]) == (3, 3)
    assert error_codes() == {"0.jpg": "", "1.jpg": "", "2.jpg": ""}
    assert sorted(sent.ids(dispatch.INGEST)) == sorted(Image.objects.values_list("pk", flat=True))
    archive = Archive.objects.get()
    assert sent.archives == [archive.pk]
    assert archive.state == Archive.State.UNPACKED
    for image in Image.objects.all():
        assert image.file.read() == JPEG
        assert (image.priority, image.study_id, image.guest) == ("bulk", UUID(study["id"]), archive.study.guest)


def test_an_unpacked_zip_is_not_kept(client, unpacked, zipped, settings):
    client.upload_study({"study.zip": zipped})
    assert list(settings.MEDIA_ROOT.glob("archives/*/*.zip"))
    Archive.objects.all().delete()
    shutil.rmtree(settings.MEDIA_ROOT / "archives")
    unpacked(zipped)
    assert not list(settings.MEDIA_ROOT.glob("archives/*/*.zip"))
    assert Archive.objects.get().file.name == ""


def test_litter_and_folders_are_not_images(unpacked):
    study = unpacked(
        synthetic.zip_of(
            {
                "ward/": b"",
                "ward/a.jpg": JPEG,
                "__MACOSX/ward/._a.jpg": b"litter",
                ".DS_Store": b"litter",
                "ward/.hidden.jpg": JPEG,
                "ward/Thumbs.db": b"litter",
                "desktop.ini": b"litter",
                "b.png": PNG,
            }
        )
    )
    # A file with the extension of a picture is listed, even if its name begins with a dot.
    assert error_codes() == {"ward/a.jpg": "", "ward/.hidden.jpg": "", "b.png": ""}
    assert study["total"] == 3


def test_each_entry_fails_alone(unpacked, settings):
    settings.MAX_IMAGE_BYTES = 100_000
    study = unpacked(
        synthetic.zip_of(
            {
                "good.jpg": JPEG,
                "notes.jpg": synthetic.text(),
                "empty.jpg": b"",
                "vast.jpg": JPEG + bytes(200_000),
                "inner.zip": synthetic.zip_of({"a.jpg": JPEG}),
                "last.png": PNG,
            }
        )
    )
    assert error_codes() == {
        "good.jpg": "",
        "notes.jpg": "not_an_image",
        "empty.jpg": "file_empty",
        "vast.jpg": "file_too_large",
        "inner.zip": "archive_not_here",
        "last.png": "",
    }
    assert study["counts"]["failed"] == 4


def compressed(method, files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=str)
def test_a_damaged_entry_fails_alone(unpacked, method):
    content = bytearray(compressed(method, {"a.jpg": JPEG, "b.jpg": JPEG, "c.jpg": JPEG}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.infolist()[1].header_offset + 60
    for index in range(start, start + 400):
        content[index] ^= 0x5A
    study = unpacked(bytes(content))
    assert error_codes() == {"a.jpg": "", "b.jpg": "image_corrupt", "c.jpg": ""}
    assert study["counts"]["failed"] == 1
    assert Archive.objects.get().state == Archive.State.UNPACKED


def test_an_entry_that_lies_outside_of_the_zip_fails_alone(unpacked):
    content = bytearray(synthetic.zip_of({"a.jpg": JPEG, "b.jpg": JPEG}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        directory = archive.start_dir
    content[directory + 42 : directory + 46] = struct.pack("<I", 2**31)
    unpacked(bytes(content))
    assert error_codes() == {"a.jpg": "image_corrupt", "b.jpg": ""}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 97], ids=["bzip2", "lzma", "unknown"])
def test_an_entry_of_another_compression_method_fails_alone(unpacked, method):
    content = bytearray(synthetic.zip_of({"a.jpg": JPEG, "b.jpg": JPEG}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        local = archive.infolist()[0].header_offset
        directory = archive.start_dir
    content[local + 8 : local + 10] = content[directory + 10 : directory + 12] = struct.pack("<H", method)
    unpacked(bytes(content))
    assert error_codes() == {"a.jpg": "archive_method_not_supported", "b.jpg": ""}


@pytest.mark.long
def test_a_zip_bomb_takes_no_memory():
    """300 MB of zeros in a few hundred bytes of bzip2: zipfile would unpack all of them to return the first."""
    stream = io.BytesIO(compressed(zipfile.ZIP_BZIP2, {"a.jpg": bytes(300 * 2**20)}))
    assert stream.getbuffer().nbytes < 1000
    tracemalloc.start()
    try:
        with zips.opened(stream) as archive, pytest.raises(Refused):
            archive.read(archive.entries[0])
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_refused_entries_are_not_stored(unpacked, settings):
    settings.MAX_IMAGE_BYTES = 100_000
    unpacked(
        synthetic.zip_of(
            {"good.jpg": JPEG, "notes.jpg": synthetic.text(), "empty.jpg": b"", "vast.jpg": JPEG + bytes(200_000)}
        )
    )
    (good,) = Image.objects.filter(error_code="")
    assert stored(settings) == {good.file.name}
    for refused in Image.objects.exclude(error_code=""):
        assert (refused.status, refused.file.name) == (Status.FAILED, "")
    assert Image.objects.get(filename="vast.jpg").size == len(JPEG) + 200_000


def test_refused_files_outside_a_zip_are_not_stored_either(client, settings, sent):
    settings.MAX_IMAGE_BYTES = 100_000
    client.upload_study({"a.jpg": JPEG, "notes.jpg": synthetic.text(), "vast.jpg": JPEG + bytes(200_000)})
    assert error_codes() == {"a.jpg": "", "notes.jpg": "not_an_image", "vast.jpg": "file_too_large"}
    (good,) = Image.objects.filter(error_code="")
    assert stored(settings) == {good.file.name}
    assert sent.ids(dispatch.INGEST) == [good.pk]


def test_a_refused_image_has_its_pages(client, unpacked):
    study = unpacked(synthetic.zip_of({"notes.jpg": synthetic.text()}))
    (listed,) = client.get(study["images_url"]).json()["results"]
    assert listed["error"]["code"] == "not_an_image"
    assert listed["preview_url"] is None
    for url in (listed["url"], listed["page_url"], study["page_url"], study["results_url"]):
        assert client.get(url).status_code == 200
    assert client.get(f"{listed['url']}preview/").status_code == 404


@pytest.mark.parametrize("name", ["../../etc/passwd.jpg", "/etc/passwd.jpg", "a/../../etc/passwd.jpg"])
def test_an_entry_cannot_choose_where_it_is_stored(unpacked, settings, name):
    unpacked(synthetic.zip_of({name: JPEG}))
    image = Image.objects.get()
    assert ".." not in image.filename
    assert not image.filename.startswith("/")
    assert (settings.MEDIA_ROOT / image.file.name).resolve().is_relative_to(settings.MEDIA_ROOT)
    assert image.file.read() == JPEG


@pytest.mark.parametrize("name", [".", "..", "/", "./", "//"])
def test_an_entry_without_a_name_is_listed(unpacked, name):
    unpacked(synthetic.zip_of({name: JPEG, "a.jpg": JPEG}))
    assert error_codes() == {"unnamed": "", "a.jpg": ""}


def zip_with_an_empty_name():
    """Return a ZIP whose first entry has an empty name."""
    content = bytearray(synthetic.zip_of({"x": JPEG, "a.jpg": JPEG}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        directory = archive.start_dir
    # The byte of the name becomes a byte of extra data.
    content[26:30] = content[directory + 28 : directory + 32] = struct.pack("<HH", 0, 1)
    return bytes(content)


def test_an_entry_with_an_empty_name_is_listed(unpacked):
    unpacked(zip_with_an_empty_name())
    assert error_codes() == {"unnamed": "", "a.jpg": ""}


def test_two_entries_with_the_same_name_are_two_images(unpacked):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.jpg", JPEG)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.jpg", PNG)
    assert unpacked(stream.getvalue())["total"] == 2
    assert {image.file.read() for image in Image.objects.all()} == {JPEG, PNG}
