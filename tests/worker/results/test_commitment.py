"""A destination is asked whether it keeps what it got; what it does not keep is sent again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.worker.results import pacs
from tests.worker.results.outbox import deliver, make_due, tell
from webapp.dicom import access
from webapp.dicom.models import Commitment
from webapp.dicom.services import commitments
from webapp.studies.outbox.models import Delivery, State
from worker.deliver.dicom import commitment


def kept(receiver):
    return [
        (row.payload["event"], row.state, row.committed) for row in access.deliveries(receiver).order_by("created_at")
    ]


def test_a_destination_that_keeps_what_it_got_says_so(came, destination):
    with pacs.running(commits=True) as archive:
        receiver = destination(archive.port, commitment=True)
        tell(came())
        assert deliver() == {"delivered": 3}
    assert kept(receiver) == [("dicom.result", "delivered", True), ("dicom.commitment", "delivered", None)]
    assert Delivery.objects.latest("created_at").attempts_made[0]["outcome"] == "committed itself to keep it"


def test_what_it_does_not_keep_is_sent_again_until_it_does(came, destination):
    with pacs.running(commits=True) as archive:
        receiver = destination(archive.port, commitment=True)
        tell(came())
        deliver()
        sent = Delivery.objects.get(payload__event="dicom.result")
        archive.lost.update(archive.stored)
        commitments.ask_for(sent, [(one.SOPClassUID, uid) for uid, one in archive.stored.items()])
        Commitment.objects.all().delete()
        deliver()
        sent.refresh_from_db()
        assert (sent.state, sent.delivered_at) == (State.WAITING, None)
        assert "does not keep it (reason 0112)" in sent.last_error
        archive.lost.clear()
        make_due()
        assert set(deliver()) == {"delivered"}
        assert archive.received == 4
    assert kept(receiver)[0] == ("dicom.result", "delivered", True)


@pytest.mark.long
def test_one_that_offers_nothing_like_that_has_the_results_all_the_same(came, destination, archive):
    destination(archive.port, commitment=True)
    tell(came())
    assert deliver() == {"delivered": 3}
    assert not Commitment.objects.exists()
    assert Delivery.objects.latest("created_at").attempts_made[0]["outcome"] == "it offers no storage commitment"


@pytest.mark.long
def test_one_that_does_not_answer_is_asked_again_an_hour_later(came, destination, monkeypatch):
    monkeypatch.setattr(commitment, "SAME_ASSOCIATION_SECONDS", 0.01)
    with pacs.running(commits=True) as archive:
        archive.silent = True
        destination(archive.port, commitment=True)
        tell(came())
        assert deliver() == {"delivered": 2, "failed": 1}
        make_due()
        assert deliver() == {"failed": 1}
        assert Commitment.objects.count() == 1
        Commitment.objects.update(asked_at=timezone.now() - timedelta(hours=2))
        Delivery.objects.filter(state="delivered").update(delivered_at=timezone.now() - timedelta(hours=3))
        make_due()
        assert deliver() == {"failed": 1}
        assert Commitment.objects.count() == 2


@pytest.mark.parametrize(("by", "known"), [("PACS", True), ("OTHER", False)])
def test_only_who_was_asked_may_answer(came, destination, archive, by, known):
    destination(archive.port)
    tell(came())
    deliver()
    asked = commitments.begin(Delivery.objects.get(payload__event="dicom.result"))
    assert commitments.answered(asked.transaction_uid, "", by) is known
    assert not commitments.answered("2.25.1", "", "PACS")
    asked.refresh_from_db()
    assert asked.committed is (True if known else None)
