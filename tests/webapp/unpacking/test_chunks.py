"""ZIPs are unpacked in chunks, by one run at a time."""

from uuid import uuid4

from tests.webapp.unpacking.conftest import FILES, NAMES, ago, everything_is_there_once, expire, reconcile
from webapp.studies.files import zip_directory, zips
from webapp.studies.models import Archive, Image
from webapp.studies.services import archives


def test_each_chunk_sends_the_next_one(archive, client, sent, settings, commit):
    for made, left in ((3, 7), (3, 4), (3, 1), (1, 0)):
        with commit():
            assert archives.unpack(worker="bulk@here") == made
        study = client.get(f"/api/v1/studies/{archive.study_id}/").json()
        assert (study["total"], study["counts"]["queued"]) == (FILES, FILES), "what is in the ZIP is not forgotten"
        archive.refresh_from_db()
        assert archive.total - archive.unpacked == left
        assert archive.claimed_by == "bulk@here"
    assert sent.archives == [archive.pk] * 4
    everything_is_there_once(archive, sent, settings)


def test_a_chunk_ends_in_time_however_slow_its_files_are(archive, settings, commit):
    settings.UNPACK_CHUNK_SECONDS = 0
    with commit():
        assert archives.unpack() == 1


def test_the_directory_is_read_once_for_each_chunk(archive, monkeypatch, commit):
    read, files = zip_directory.read, []
    monkeypatch.setattr(zip_directory, "read", lambda file: files.append(file) or read(file))
    with commit():
        archives.unpack()
    assert len(files) == 1


def test_a_slow_healthy_zip_never_fails(archive, sent, settings, commit):
    """As many chunks as it takes, with a crash before each second one."""
    settings.UNPACK_CHUNK_FILES = 1
    for _ in range(FILES):
        for _ in range(2):
            token = Archive.objects.filter(pk=archive.pk).update(
                state=Archive.State.UNPACKING, claim=uuid4(), claimed_at=ago(61)
            )
            assert token == 1
            with commit():
                reconcile()
        with commit():
            assert archives.unpack() == 1
    everything_is_there_once(archive, sent, settings)


# --- one run at a time ------------------------------------------------------------------------------------------------


def test_a_message_that_comes_again_unpacks_nothing(archive, unpack_all, commit, settings, sent):
    assert unpack_all() == FILES
    with commit():
        assert archives.unpack() == 0
    everything_is_there_once(archive, sent, settings)


def test_while_a_run_holds_the_zip_another_does_nothing(archive, unpack_all, monkeypatch, sent, settings):
    """As when a broker delivers again what a healthy worker has, in the middle of each of its files."""
    read, others = zips.Archive.read, []

    def interrupted(self, entry):
        others.append(archives.unpack())
        return read(self, entry)

    monkeypatch.setattr(zips.Archive, "read", interrupted)
    assert unpack_all() == FILES
    assert set(others) == {0}
    everything_is_there_once(archive, sent, settings)


def test_a_run_that_outlives_its_claim_writes_nothing(archive, unpack_all, monkeypatch, sent, settings, commit):
    """It was taken for dead, as after a jump of the clock, and another run has begun."""
    read, others = zips.Archive.read, []

    def overtaken(self, entry):
        if not others:
            others.append("now")
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
    everything_is_there_once(archive, sent, settings)


def test_a_run_without_its_claim_fails_and_deletes_nothing(archive, settings):
    mine = archives._claim("here")
    Archive.objects.filter(pk=archive.pk).update(claim=uuid4())
    archives.fail_archive(mine, "archive_corrupt", "Damaged.")
    archives._release(mine)
    archive.refresh_from_db()
    assert (archive.state, archive.error_code) == (Archive.State.UNPACKING, "")
    assert archive.claim
    assert list(settings.MEDIA_ROOT.glob("archives/*/*"))


def test_what_a_worker_of_an_earlier_release_has_made_is_not_made_again(archive, unpack_all, make_image, settings):
    """It counts nothing, and its images have other ids."""
    for index in (0, 1, 4):
        make_image(archive=archive, archive_index=index, study=archive.study, filename=NAMES[index])
    assert unpack_all() == FILES - 3
    assert sorted(Image.objects.values_list("filename", flat=True)) == NAMES
    assert len([path for path in settings.MEDIA_ROOT.glob("uploads/**/*") if path.is_file()]) == FILES
