"""ZIPs are unpacked in chunks, by one run at a time."""

from uuid import uuid4

from tests.webapp.unpacking.conftest import (
    EXPIRED,
    FILES,
    NAMES,
    assert_everything_is_stored_once,
    expire,
    reconcile,
)
from webapp.studies.files import zip_directory, zips
from webapp.studies.models import Archive, Image
from webapp.studies.services import archives


def test_each_chunk_sends_the_next_one(archive, client, sent, settings, commit):
    for unpacked, remaining in ((3, 7), (3, 4), (3, 1), (1, 0)):
        with commit():
            assert archives.unpack(worker="bulk@here") == unpacked
        study = client.get(f"/api/v1/studies/{archive.study_id}/").json()
        assert (study["total"], study["counts"]["queued"]) == (FILES, FILES), (
            "the files that are still in the ZIP are counted"
        )
        archive.refresh_from_db()
        assert archive.total - archive.unpacked == remaining
        assert archive.claimed_by == "bulk@here"
    assert sent.archives == [archive.pk] * 4
    assert_everything_is_stored_once(archive, sent, settings)


def test_a_chunk_ends_at_its_time_limit(archive, settings, commit):
    settings.UNPACK_CHUNK_SECONDS = 0
    with commit():
        assert archives.unpack() == 1


def test_the_directory_is_read_once_per_chunk(archive, monkeypatch, commit):
    read, files = zip_directory.read, []
    monkeypatch.setattr(zip_directory, "read", lambda file: files.append(file) or read(file))
    with commit():
        archives.unpack()
    assert len(files) == 1


def test_a_slow_healthy_zip_never_fails(archive, sent, settings, commit):
    """The ZIP takes many chunks, and the worker crashes before each of them."""
    settings.UNPACK_CHUNK_FILES = 1
    for _ in range(FILES):
        for _ in range(2):
            updated = Archive.objects.filter(pk=archive.pk).update(
                state=Archive.State.UNPACKING, claim=uuid4(), missed=EXPIRED
            )
            assert updated == 1
            with commit():
                reconcile()
        with commit():
            assert archives.unpack() == 1
    assert_everything_is_stored_once(archive, sent, settings)


# --- one run at a time ------------------------------------------------------------------------------------------------


def test_a_redelivered_message_unpacks_nothing(archive, unpack_all, commit, settings, sent):
    assert unpack_all() == FILES
    with commit():
        assert archives.unpack() == 0
    assert_everything_is_stored_once(archive, sent, settings)


def test_a_second_run_does_nothing_while_the_first_holds_the_zip(archive, unpack_all, monkeypatch, sent, settings):
    """The broker delivers the message again while a healthy worker unpacks, here during each file."""
    read, unpacked_by_others = zips.Archive.read, []

    def interrupted(self, entry):
        unpacked_by_others.append(archives.unpack())
        return read(self, entry)

    monkeypatch.setattr(zips.Archive, "read", interrupted)
    assert unpack_all() == FILES
    assert set(unpacked_by_others) == {0}
    assert_everything_is_stored_once(archive, sent, settings)


def test_a_run_that_outlives_its_claim_writes_nothing(archive, unpack_all, monkeypatch, sent, settings, commit):
    """The run was taken for dead, for example after a clock jump, and another run has begun."""
    read, overtakers = zips.Archive.read, []

    def overtaken(self, entry):
        if not overtakers:
            overtakers.append("now")
            expire(archive)
            with commit():
                assert reconcile()["archives_released"] == 1
            with commit():
                assert archives.unpack() == 3
        return read(self, entry)

    monkeypatch.setattr(zips.Archive, "read", overtaken)
    assert archives.unpack() == 0
    assert Image.objects.count() == 3
    unpack_all()
    assert_everything_is_stored_once(archive, sent, settings)


def test_a_run_that_lost_its_claim_neither_fails_nor_deletes_the_zip(archive, settings):
    claimed = archives._claim("here")
    Archive.objects.filter(pk=archive.pk).update(claim=uuid4())
    archives.fail_archive(claimed, "archive_corrupt", "Damaged.")
    archives._release(claimed)
    archive.refresh_from_db()
    assert (archive.state, archive.error_code) == (Archive.State.UNPACKING, "")
    assert archive.claim
    assert list(settings.MEDIA_ROOT.glob("archives/*/*"))


def test_images_made_by_an_earlier_release_are_not_made_again(archive, unpack_all, make_image, settings):
    """An earlier release did not count unpacked files, and its images have other ids."""
    for index in (0, 1, 4):
        make_image(archive=archive, archive_index=index, study=archive.study, filename=NAMES[index])
    assert unpack_all() == FILES - 3
    assert sorted(Image.objects.values_list("filename", flat=True)) == NAMES
    assert len([path for path in settings.MEDIA_ROOT.glob("uploads/**/*") if path.is_file()]) == FILES
