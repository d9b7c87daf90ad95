"""The reconciler sends the messages of ZIPs again; studies are cancelled or deleted during unpacking."""

from uuid import uuid4, uuid5

import pytest

from tests.webapp.unpacking.conftest import EXPIRED, FILES, ago, reconcile, uploads
from webapp.ops import services
from webapp.studies.choices import Status
from webapp.studies.files import zips
from webapp.studies.models import Archive, Image, Study
from webapp.studies.services import archives, cancellation


@pytest.mark.parametrize(("dispatches", "delay"), [(1, 10), (2, 20), (3, 40), (7, 640), (30, 640)])
@pytest.mark.parametrize("state", [Archive.State.QUEUED, Archive.State.UNPACKING])
def test_a_lost_zip_message_is_sent_again_after_doubling_delays(db, sent, dispatches, delay, state):
    study = Study.objects.create(guest=uuid4())

    def make_archive(seconds, **fields):
        fields = {"study": study, "filename": "a.zip", "total": 1, "state": state, "dispatches": dispatches, **fields}
        return Archive.objects.create(dispatched_at=ago(seconds), **fields)

    late = make_archive(delay + 3)
    make_archive(delay - 3)
    make_archive(9999, claim=uuid4(), missed=EXPIRED - 1, state=Archive.State.UNPACKING)
    make_archive(9999, state=Archive.State.UNPACKED)
    make_archive(9999, state=Archive.State.FAILED)
    assert reconcile()["archives"] == 1
    assert sent.archives == [late.pk]
    late.refresh_from_db()
    assert late.dispatches == dispatches + 1
    assert reconcile()["archives"] == 0


@pytest.mark.parametrize("seconds", [9999, -9999])
def test_a_run_keeps_its_claim_if_a_clock_jumps_and_loses_it_by_reconciliations(archive, sent, seconds):
    Archive.objects.update(state=Archive.State.UNPACKING, claim=uuid4(), claimed_at=ago(seconds))
    for _ in range(EXPIRED - 1):
        assert services.reconcile()["archives_released"] == 0
    assert reconcile()["archives_released"] == 0, "a check in between does not count"
    assert services.reconcile()["archives_released"] == 1
    archive.refresh_from_db()
    assert (archive.claim, archive.attempts) == (None, 1)


def test_a_new_run_starts_counting_at_zero(archive):
    Archive.objects.update(missed=EXPIRED)
    archives._claim("worker")
    archive.refresh_from_db()
    assert archive.missed == 0


def test_no_message_counts_as_lost_while_the_queue_holds_one_for_each_zip(db, sent):
    study = Study.objects.create(guest=uuid4())
    late = [
        Archive.objects.create(study=study, filename="a.zip", total=1, dispatched_at=ago(900 - n)) for n in range(3)
    ]
    sent.waiting["unpack"] = 3
    assert reconcile()["archives"] == 0
    sent.waiting["unpack"] = 1
    assert reconcile()["archives"] == 2
    assert sent.archives == [late[0].pk, late[1].pk]


# --- cancelled and deleted --------------------------------------------------------------------------------------------


def test_cancelling_during_unpacking_leaves_no_images_to_read(archive, client, sent, settings, monkeypatch, unpack_all):
    read = zips.Archive.read

    def cancelling(self, entry):
        if entry.index == 4:
            cancellation.cancel_study(archive.study)
        return read(self, entry)

    monkeypatch.setattr(zips.Archive, "read", cancelling)
    unpack_all()
    assert set(Image.objects.values_list("status", flat=True)) == {Status.CANCELLED}
    assert len(sent.images) <= 3
    study = client.get(f"/api/v1/studies/{archive.study_id}/").json()
    assert (study["status"], study["counts"]["cancelled"], study["total"]) == ("cancelled", FILES, FILES)
    # The study was cancelled during the second chunk; nothing after that chunk is stored.
    assert len(uploads(settings)) == 6


def test_a_study_deleted_during_unpacking_leaves_no_files(archive, settings, monkeypatch, commit):
    read = zips.Archive.read

    def deleting(self, entry):
        Study.objects.filter(pk=archive.study_id).delete()
        return read(self, entry)

    monkeypatch.setattr(zips.Archive, "read", deleting)
    with commit():
        assert archives.unpack() == 0
    assert uploads(settings) == []


def test_an_image_has_the_same_id_and_file_whichever_run_makes_it(archive, unpack_all):
    unpack_all()
    for image in Image.objects.all():
        assert image.pk == uuid5(archive.pk, str(image.archive_index))
        assert image.file.name == f"uploads/{image.pk.hex[:2]}/{image.pk}.jpg"
