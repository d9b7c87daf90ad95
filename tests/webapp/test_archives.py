"""ZIP files: what is taken, what is skipped, what is refused, and unpacking that can be interrupted."""

import io
import struct
import zipfile
from uuid import UUID

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage

from tests import synthetic
from tests.webapp.conftest import JPEG, PNG
from webapp.refusals import Refused
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.files import zips
from webapp.studies.models import Archive, Image, Study
from webapp.studies.services import archives, cancellation


@pytest.fixture
def unpacked(client, commit):
    """Upload a ZIP as a study and unpack it; the study's JSON after that."""

    def run(content):
        answer = client.upload_study({"study.zip": content})
        assert answer.status_code == 202, answer.content
        with commit():
            archives.unpack(Archive.objects.get().pk)
        return client.get(answer.json()["url"]).json()

    return run


def found():
    return dict(Image.objects.values_list("filename", "error_code"))


def test_a_zip_becomes_images(client, sent, unpacked, zipped, commit):
    study = unpacked(zipped)
    assert (study["total"], study["counts"]["queued"]) == (3, 3)
    assert found() == {"0.jpg": "", "1.jpg": "", "2.jpg": ""}
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
    with pytest.raises(Archive.DoesNotExist):
        archives.unpack(UUID(int=0))
    Archive.objects.all().delete()
    unpacked(zipped)
    assert not default_storage.exists(Archive.objects.get().file.name)


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
    assert found() == {"ward/a.jpg": "", "b.png": ""}
    assert study["total"] == 2


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
    assert found() == {
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


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=str
)
def test_a_damaged_entry_fails_alone(unpacked, method):
    content = bytearray(compressed(method, {"a.jpg": JPEG, "b.jpg": JPEG, "c.jpg": JPEG}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.infolist()[1].header_offset + 60
    for index in range(start, start + 400):
        content[index] ^= 0x5A
    study = unpacked(bytes(content))
    assert set(found()) == {"a.jpg", "b.jpg", "c.jpg"}
    assert study["counts"]["failed"] == 1
    assert found()["b.jpg"]
    assert Archive.objects.get().state == Archive.State.UNPACKED


def test_an_entry_of_an_unknown_method_fails_alone(unpacked):
    content = bytearray(synthetic.zip_of({"a.jpg": JPEG, "b.jpg": JPEG}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        local = archive.infolist()[0].header_offset
        directory = archive.start_dir
    content[local + 8 : local + 10] = content[directory + 10 : directory + 12] = struct.pack("<H", 97)
    unpacked(bytes(content))
    assert found() == {"a.jpg": "file_empty", "b.jpg": ""}


@pytest.mark.parametrize("name", ["../../etc/passwd.jpg", "/etc/passwd.jpg", "a/../../etc/passwd.jpg"])
def test_an_entry_cannot_choose_its_place(unpacked, settings, name):
    unpacked(synthetic.zip_of({name: JPEG}))
    image = Image.objects.get()
    assert ".." not in image.filename
    assert not image.filename.startswith("/")
    assert (settings.MEDIA_ROOT / image.file.name).resolve().is_relative_to(settings.MEDIA_ROOT)
    assert image.file.read() == JPEG


@pytest.mark.parametrize("name", [".", "..", "/", "./", "//"])
def test_an_entry_without_a_name_is_skipped(unpacked, name):
    unpacked(synthetic.zip_of({name: JPEG, "a.jpg": JPEG}))
    assert found() == {"a.jpg": ""}


def nameless():
    """A ZIP whose first entry's name has no characters at all."""
    content = bytearray(synthetic.zip_of({"x": JPEG, "a.jpg": JPEG}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        directory = archive.start_dir
    # What was the name becomes one byte of extra data.
    content[26:30] = content[directory + 28 : directory + 32] = struct.pack("<HH", 0, 1)
    return bytes(content)


def test_an_entry_with_an_empty_name_is_skipped(unpacked):
    unpacked(nameless())
    assert found() == {"a.jpg": ""}


def test_two_entries_of_one_name_are_two_images(unpacked):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.jpg", JPEG)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.jpg", PNG)
    assert unpacked(stream.getvalue())["total"] == 2
    assert {image.file.read() for image in Image.objects.all()} == {JPEG, PNG}


# --- refused as a whole ---------------------------------------------------------------------------------------------


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
def test_a_zip_that_cannot_be_taken_is_refused_with_its_own_code(client, problem, settings, content, status, code):
    settings.MAX_STUDY_FILES = 5
    problem(client.upload_study({"study.zip": content}), status, code)
    assert not Study.objects.exists()


def test_as_many_entries_as_allowed_are_taken(client, settings):
    settings.MAX_STUDY_FILES = 5
    assert client.upload_study({"a.zip": synthetic.zip_of({f"{n}.jpg": b"x" for n in range(5)})}).status_code == 202


def test_a_zip_that_declares_a_flood_is_refused(client, problem, monkeypatch):
    monkeypatch.setattr(zips, "MAX_UNPACKED_BYTES", 10**6)
    problem(client.upload_study({"a.zip": synthetic.zip_of({"a.jpg": bytes(10**6 + 1)})}), 413, "archive_too_large")


def test_of_an_entry_that_lies_about_its_size_no_more_than_the_limit_is_unpacked(settings):
    settings.MAX_IMAGE_BYTES = 10_000
    content = bytearray(synthetic.zip_of({"a.jpg": bytes(5 * 10**6)}))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.start_dir
    content[start + 24 : start + 28] = struct.pack("<I", 10)
    stream = io.BytesIO(content)
    (entry,) = zips.entries(stream)
    with zips.read(stream, entry) as unpacked:
        assert unpacked.size <= 10_001


# --- interrupted ----------------------------------------------------------------------------------------------------


class PowerCut(Exception):
    """The worker dies."""


@pytest.fixture
def archive(client):
    client.upload_study({"a.zip": synthetic.zip_of({f"{n:02}.jpg": JPEG for n in range(10)})})
    return Archive.objects.get()


@pytest.fixture
def power_cut(monkeypatch):
    """Die at a file's storing."""

    def at(nth):
        save, seen = FileSystemStorage.save, []

        def stored(self, *args, **kwargs):
            seen.append(args)
            if len(seen) == nth:
                raise PowerCut
            return save(self, *args, **kwargs)

        monkeypatch.setattr(FileSystemStorage, "save", stored)

    return at


@pytest.mark.parametrize("nth", [1, 4, 8, 10])
def test_unpacking_that_was_interrupted_goes_on_without_doubles(archive, client, power_cut, sent, commit, nth):
    power_cut(nth)
    with commit(), pytest.raises(PowerCut):
        archives.unpack(archive.pk, chunk=3)
    before = Image.objects.count()
    assert before == (nth - 1) // 3 * 3
    study = client.get(f"/api/v1/studies/{archive.study_id}/").json()
    assert study["total"] == 10  # what is still in the ZIP is not forgotten
    with commit():
        assert archives.unpack(archive.pk, chunk=3) == 10 - before
    assert sorted(Image.objects.values_list("filename", flat=True)) == [f"{n:02}.jpg" for n in range(10)]
    assert sorted(sent.ids(dispatch.INGEST)) == sorted(Image.objects.values_list("pk", flat=True))
    assert Archive.objects.get().state == Archive.State.UNPACKED


def test_a_message_that_comes_again_unpacks_nothing(archive, commit):
    with commit():
        assert archives.unpack(archive.pk) == 10
    with commit():
        assert archives.unpack(archive.pk) == 0
    assert Image.objects.count() == 10


def test_two_workers_at_the_same_zip_make_each_image_once(archive, monkeypatch):
    """The second starts, and ends, while the first is in the middle."""
    read, second = zips.read, []

    def interrupted(stream, entry):
        if entry.index == 4 and not second:
            second.append(True)
            archives.unpack(archive.pk, chunk=3)
        return read(stream, entry)

    monkeypatch.setattr(zips, "read", interrupted)
    archives.unpack(archive.pk, chunk=3)
    assert sorted(Image.objects.values_list("filename", flat=True)) == [f"{n:02}.jpg" for n in range(10)]


def test_a_zip_that_stops_the_worker_three_times_fails_and_the_study_ends(archive, client, monkeypatch):
    def killed(*args):
        raise PowerCut

    monkeypatch.setattr(zips, "entries", killed)
    for _ in range(3):
        with pytest.raises(PowerCut):
            archives.unpack(archive.pk)
    assert archives.unpack(archive.pk) == 0
    study = client.get(f"/api/v1/studies/{archive.study_id}/").json()
    assert (study["status"], study["total"]) == ("finished", 0)
    assert [error["code"] for error in study["errors"]] == ["worker_crashed"]
    assert study["errors"][0]["filename"] == "a.zip"


def test_a_zip_that_went_bad_in_the_storage_says_so(archive, client):
    default_storage.save(archive.file.name, ContentFile(b"PK\x03\x04 gone bad"))
    with pytest.raises(Refused) as raised:
        archives.unpack(archive.pk)
    archives.fail_archive(archive.pk, raised.value.code, raised.value.detail)
    (error,) = client.get(f"/api/v1/studies/{archive.study_id}/").json()["errors"]
    assert error["code"] == "archive_corrupt"
    assert error["detail"]


def test_cancelling_in_the_middle_stops_what_comes_after(archive, client, sent, commit, monkeypatch):
    read = zips.read

    def cancelling(stream, entry):
        if entry.index == 4:
            cancellation.cancel_study(archive.study)
        return read(stream, entry)

    monkeypatch.setattr(zips, "read", cancelling)
    with commit():
        archives.unpack(archive.pk, chunk=3)
    assert set(Image.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    assert len(sent.images) <= 3
    study = client.get(f"/api/v1/studies/{archive.study_id}/").json()
    assert (study["status"], study["counts"]["cancelled"], study["total"]) == ("cancelled", 10, 10)
