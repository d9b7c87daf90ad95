"""A department's PACS is searched, and studies are fetched from it."""

import pytest
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone
from pydicom.uid import UID

from tests.modality import STUDY, committed_rows, image
from tests.worker.dicom import archive
from webapp.accounts.identity import Identity
from webapp.dicom.models import Destination, Instance, Peer, Progress
from webapp.dicom.services import searching
from webapp.refusals import Refused
from webapp.studies.models import Image, Study
from webapp.studies.outbox.models import Delivery, State
from worker.deliver import delivering
from worker.dicom import retrieving

pytestmark = committed_rows
EARLIER = UID("2.25.77001")


@pytest.fixture
def pacs():
    earlier = {"StudyInstanceUID": EARLIER, "SeriesInstanceUID": f"{EARLIER}.1", "StudyDate": "20250301"}
    with archive.running(
        image(1, StudyDate="20260102", StudyDescription="Chest"), image(2, **earlier), image(3, **earlier),
        image(4, StudyInstanceUID="2.25.5", SeriesInstanceUID="2.25.5.1", Modality="CT"),
        image(5, StudyInstanceUID="2.25.6", SeriesInstanceUID="2.25.6.1", PatientID="8", PatientName="Other^One"),
    ) as running:  # fmt: skip
        yield running


@pytest.fixture
def destination(department, pacs):
    values = {"name": "PACS", "host": "127.0.0.1", "called_ae": "ARCHIVE", "retrieves": "get", "sends": "nothing"}
    return Destination.objects.create(department=department, port=pacs.port, **values)


def deliver():
    outcomes = delivering.deliver_due("test")
    return {name: number for name, number in outcomes.items() if number}


def run_search(destination, **criteria):
    search = searching.search(Identity(), destination, criteria)
    deliver()
    search.refresh_from_db()
    return search


def test_a_search_shows_the_radiographs_of_a_patient_latest_first(destination):
    search = run_search(destination, patient_id="4711")
    assert (search.state, search.more) == (Progress.DONE, False)
    assert [(row["date"], row["study_uid"]) for row in search.found] == [("2026-01-02", STUDY), ("2025-03-01", EARLIER)]
    assert search.found[0] == {
        "study_uid": STUDY, "patient_id": "4711", "patient_name": "Marked, Name", "birth_date": "",
        "date": "2026-01-02", "modalities": ["DX"], "description": "Chest", "accession_number": "", "images": "",
    }  # fmt: skip
    [named] = run_search(destination, patient_name="Oth").found
    assert named["patient_id"] == "8"


@pytest.mark.long
def test_a_search_finds_a_limited_number_of_studies(destination, monkeypatch):
    monkeypatch.setattr(searching, "MOST_FOUND", 1)
    search = run_search(destination, patient_id="4711")
    assert (search.state, search.more, len(search.found)) == (Progress.DONE, True, 1)


def test_an_unreachable_pacs_is_reported_and_tried_once(destination):
    Destination.objects.update(port=1)
    search = run_search(destination, patient_id="4711")
    assert (search.state, search.error) == (
        Progress.FAILED,
        "the destination cannot be reached, or ends the association",
    )
    assert Delivery.objects.get().state == State.DELIVERED


def test_a_search_goes_before_older_deliveries(destination):
    with transaction.atomic():
        searching.outbox.put("webhook", "older", {}, destination="other")
    search = searching.search(Identity(), destination, {"patient_id": "4711"})
    assert searching.outbox.claim("test").payload == {"search": str(search.pk)}


@pytest.mark.parametrize("criteria", [{}, {"modality": "DX"}])
def test_a_search_for_everything_is_refused(destination, criteria):
    with pytest.raises(Refused, match="a patient or dates"):
        searching.search(Identity(), destination, criteria)


def test_studies_are_fetched_by_c_get_except_images_already_stored(destination, department, pacs):
    search = run_search(destination, patient_id="4711")
    first, second = searching.retrieve(Identity(), search, [STUDY, EARLIER])
    deliver()
    for fetch, images in ((first, 1), (second, 2)):
        fetch.refresh_from_db()
        assert (fetch.state, fetch.expected, fetch.arrived, fetch.error) == (Progress.DONE, images, images, "")
    assert set(Study.objects.values_list("department__slug", "study_uid")) == {
        (department.slug, STUDY), (department.slug, EARLIER),
    }  # fmt: skip
    assert set(Instance.objects.values_list("calling_ae", flat=True)) == {"ARCHIVE"}
    assert searching.present_studies(search) == {STUDY, EARLIER}
    searching.retrieve(Identity(), search, [EARLIER])
    deliver()
    assert len(pacs.requested) == 3


@pytest.mark.parametrize("is_gone", [True, False])
def test_an_image_whose_stored_file_is_lost_is_fetched_again(destination, pacs, is_gone):
    search = run_search(destination, patient_id="4711")
    [fetch] = searching.retrieve(Identity(), search, [EARLIER])
    deliver()
    lost = Image.objects.get(instance_uid=pacs.images[1].SOPInstanceUID)
    if is_gone:
        default_storage.delete(lost.file.name)
    else:
        Image.objects.filter(pk=lost.pk).update(error_code="file_damaged")
    searching.retrieve(Identity(), search, [EARLIER])
    deliver()
    fetch.refresh_from_db()
    assert (fetch.state, fetch.arrived, fetch.error) == (Progress.DONE, 2, "")
    assert len(pacs.requested) == 3
    again = Image.objects.get(instance_uid=lost.instance_uid)
    assert (again != lost, default_storage.exists(again.file.name)) == (True, True)


@pytest.mark.long
def test_a_retrieval_goes_on_in_another_run_and_ends_when_it_is_cancelled(destination, pacs, monkeypatch):
    monkeypatch.setattr(retrieving, "FETCH_SECONDS", 0)
    search = searching.search(Identity(), destination, {"patient_id": "4711"})
    search.found = [{"study_uid": EARLIER}]
    search.save()
    [fetch] = searching.retrieve(Identity(), search, [EARLIER])
    Delivery.objects.filter(kind=searching.SEARCH).delete()

    def run():
        delivering.deliver(searching.outbox.claim("test"))
        fetch.refresh_from_db()

    run()
    assert (fetch.state, fetch.expected, Instance.objects.count()) == (Progress.WAITING, 2, 1)
    assert searching.cancel(Identity(), fetch)
    run_again = Delivery.objects.filter(kind=searching.RETRIEVE, state=State.WAITING)
    assert run_again.count() == 1
    run()
    assert (fetch.state, Instance.objects.count(), run_again.count()) == (Progress.CANCELLED, 1, 0)
    searching.retrieve(Identity(), search, [EARLIER])
    run()
    assert (fetch.state, fetch.arrived, len(pacs.requested)) == (Progress.DONE, 2, 2)


@pytest.mark.parametrize("changed", [{"enabled": False}, {"retrieves": "no"}])
def test_nothing_is_fetched_from_a_pacs_that_may_no_longer_be_searched(destination, pacs, changed):
    search = run_search(destination, patient_id="4711")
    [fetch] = searching.retrieve(Identity(), search, [EARLIER])
    Destination.objects.update(**changed)
    deliver()
    fetch.refresh_from_db()
    assert (fetch.state, fetch.error) == (Progress.FAILED, "this PACS may no longer be searched")
    assert not pacs.requested
    search.refresh_from_db()
    with pytest.raises(Refused) as refused:
        searching.retrieve(Identity(), search, [STUDY])
    assert refused.value.code == "no_such_pacs"


@pytest.mark.long
def test_images_that_do_not_arrive_are_named_and_the_others_are_kept(destination, pacs):
    pacs.withheld.add(pacs.images[1].SOPInstanceUID)
    search = run_search(destination, patient_id="4711")
    [fetch] = searching.retrieve(Identity(), search, [EARLIER])
    deliver()
    fetch.refresh_from_db()
    assert (fetch.state, fetch.arrived, fetch.refused) == (Progress.FAILED, 1, [pacs.images[1].SOPInstanceUID])
    assert fetch.error.startswith("1 images did not arrive.")


@pytest.mark.long
def test_a_retrieval_is_retried_if_the_pacs_was_unreachable(destination, pacs):
    search = run_search(destination, patient_id="4711")
    Destination.objects.update(port=1)
    [fetch] = searching.retrieve(Identity(), search, [STUDY])
    assert deliver() == {"failed": 1}
    fetch.refresh_from_db()
    assert (fetch.state, fetch.error) == (
        Progress.WAITING,
        "the destination cannot be reached, or ends the association",
    )
    Destination.objects.update(port=pacs.port)
    Delivery.objects.filter(state=State.WAITING).update(next_attempt_at=timezone.now())
    deliver()
    fetch.refresh_from_db()
    assert (fetch.state, fetch.error) == (Progress.DONE, "")


def test_c_move_sends_to_the_listener_if_it_knows_the_pacs(destination, department, pacs, port):
    pacs.listener = port
    Destination.objects.update(retrieves="move")
    search = run_search(destination, patient_id="4711")
    [fetch] = searching.retrieve(Identity(), search, [EARLIER])
    deliver()
    fetch.refresh_from_db()
    assert (fetch.state, fetch.arrived) == (Progress.FAILED, 0)
    Peer.objects.create(ae_title="ARCHIVE", department=department)
    searching.retrieve(Identity(), search, [EARLIER])
    deliver()
    fetch.refresh_from_db()
    assert (fetch.state, fetch.arrived, fetch.error) == (Progress.DONE, 2, "")
