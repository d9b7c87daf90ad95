"""Storage commitment: a destination is asked what it stores, and gets again what it does not store."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.worker.results import pacs
from tests.worker.results.outbox import announce, deliver, make_due
from webapp.dicom import access
from webapp.dicom.models import Commitment
from webapp.dicom.services import commitments
from webapp.studies.outbox.models import Delivery, State
from worker.deliver.dicom import commitment


def states(receiver):
    return [
        (row.payload["event"], row.state, row.committed) for row in access.deliveries(receiver).order_by("created_at")
    ]


def test_a_destination_confirms_what_it_stores(dicom_image, destination):
    with pacs.running(commits=True) as archive:
        receiver = destination(archive.port, commitment=True)
        announce(dicom_image())
        assert deliver() == {"delivered": 3}
    assert states(receiver) == [("dicom.result", "delivered", True), ("dicom.commitment", "delivered", None)]
    assert Delivery.objects.latest("created_at").attempts_made[0]["outcome"] == "committed itself to keep it"


def test_objects_that_are_not_stored_are_sent_again_until_they_are(dicom_image, destination):
    with pacs.running(commits=True) as archive:
        receiver = destination(archive.port, commitment=True)
        announce(dicom_image())
        deliver()
        sent = Delivery.objects.get(payload__event="dicom.result")
        archive.lost.update(archive.stored)
        commitments.ask_for(sent, [(data.SOPClassUID, uid) for uid, data in archive.stored.items()])
        Commitment.objects.all().delete()
        deliver()
        sent.refresh_from_db()
        assert (sent.state, sent.delivered_at) == (State.WAITING, None)
        assert "does not keep it (reason 0112)" in sent.last_error
        archive.lost.clear()
        make_due()
        assert set(deliver()) == {"delivered"}
        assert archive.received == 4
    assert states(receiver)[0] == ("dicom.result", "delivered", True)


@pytest.mark.long
def test_a_destination_without_storage_commitment_still_gets_the_results(dicom_image, destination, archive):
    destination(archive.port, commitment=True)
    announce(dicom_image())
    assert deliver() == {"delivered": 3}
    assert not Commitment.objects.exists()
    assert Delivery.objects.latest("created_at").attempts_made[0]["outcome"] == "it offers no storage commitment"


@pytest.mark.long
def test_a_destination_that_does_not_answer_is_asked_again_an_hour_later(dicom_image, destination, monkeypatch):
    monkeypatch.setattr(commitment, "SAME_ASSOCIATION_SECONDS", 0.01)
    with pacs.running(commits=True) as archive:
        archive.silent = True
        destination(archive.port, commitment=True)
        announce(dicom_image())
        assert deliver() == {"delivered": 2, "failed": 1}
        make_due()
        assert deliver() == {"failed": 1}
        assert Commitment.objects.count() == 1
        Commitment.objects.update(asked_at=timezone.now() - timedelta(hours=2))
        Delivery.objects.filter(state="delivered").update(delivered_at=timezone.now() - timedelta(hours=3))
        make_due()
        assert deliver() == {"failed": 1}
        assert Commitment.objects.count() == 2


@pytest.mark.parametrize(("ae_title", "accepted"), [("PACS", True), ("OTHER", False)])
def test_only_the_destination_that_was_asked_may_answer(dicom_image, destination, archive, ae_title, accepted):
    destination(archive.port)
    announce(dicom_image())
    deliver()
    request = commitments.begin(Delivery.objects.get(payload__event="dicom.result"))
    assert commitments.answered(request.transaction_uid, "", ae_title) is accepted
    assert not commitments.answered("2.25.1", "", "PACS")
    request.refresh_from_db()
    assert request.committed is (True if accepted else None)
