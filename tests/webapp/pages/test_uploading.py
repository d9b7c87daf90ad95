"""Uploading without JavaScript."""

from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests import synthetic
from tests.webapp.pages.conftest import image, upload
from webapp.refusals import Refused
from webapp.storage.folder import StorageUnavailable
from webapp.studies import dispatch
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Study
from webapp.studies.services import cancellation, uploads

pytestmark = pytest.mark.django_db


def test_one_image_leads_to_its_page(browser: Client, guest: UUID, sent, django_capture_on_commit_callbacks) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = upload(browser, ("chest.jpeg", synthetic.xray_jpeg()))
    xray = Image.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, xray.get_absolute_url())
    assert (xray.guest, xray.filename, xray.status) == (guest, "chest.jpeg", Status.QUEUED)
    assert sent.ids(dispatch.INGEST) == [xray.pk]
    assert browser.get(answer["Location"]).status_code == 200


def test_a_new_guest_can_see_their_first_upload() -> None:
    browser = Client()
    answer = upload(browser, ("chest.jpeg", synthetic.xray_jpeg()))
    assert browser.get(answer["Location"]).status_code == 200


def test_several_files_and_a_zip_become_a_study(browser: Client) -> None:
    answer = upload(browser, ("a.jpeg", synthetic.xray_jpeg(1)), ("notes.jpg", synthetic.text()))
    study = Study.objects.get()
    assert answer["Location"] == study.get_absolute_url()
    assert sorted(study.images.values_list("status", flat=True)) == [Status.FAILED, Status.QUEUED]
    answer = upload(browser, ("ward.zip", synthetic.zip_of({"b.jpeg": synthetic.xray_jpeg(2)})))
    assert answer["Location"] == Archive.objects.get().study.get_absolute_url()


def test_patient_name_and_manifest_are_sent_with_the_files(browser: Client) -> None:
    table = SimpleUploadedFile("whose they are.csv", b"file,patient,age\na.jpeg,P-9,2.5\n")
    files = [SimpleUploadedFile(name, synthetic.xray_jpeg()) for name in ("a.jpeg", "b.jpeg")]
    sent = {"files": files, "manifest": table, "patient": "P-7", "name": "ward 3"}
    assert browser.post("/upload/", sent).status_code == 302
    study = Study.objects.get()
    assert (study.name, study.patient.identifier, study.manifest["rows"]) == ("ward 3", "P-7", 1)
    assert dict(study.images.values_list("filename", "patient__identifier")) == {"a.jpeg": "P-9", "b.jpeg": "P-7"}
    assert browser.post("/upload/", {"files": synthetic_file("c.jpeg"), "patient": "P-7"}).status_code == 302
    assert Image.objects.get(study=None).patient.identifier == "P-7"
    assert (
        browser.post("/upload/", {"files": synthetic_file("d.jpeg"), "other": synthetic_file("e")}).status_code == 400
    )


def synthetic_file(name: str) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, synthetic.xray_jpeg())


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [(synthetic.text(), 415, "This is a text file"), (synthetic.empty(), 400, "empty")],
)
def test_a_file_that_is_no_image_is_refused_with_an_explanation(
    browser: Client, content: bytes, status: int, sentence: str
) -> None:
    answer = upload(browser, ("notes.jpg", content))
    assert answer.status_code == status
    assert sentence in answer.content.decode()
    assert not Image.objects.exists()


def test_the_form_reports_an_unreachable_storage(browser: Client, monkeypatch) -> None:
    def fail(*args, **fields):
        raise StorageUnavailable("the bucket does not answer")

    monkeypatch.setattr(uploads, "create_image", fail)
    answer = upload(browser, ("chest.jpeg", synthetic.xray_jpeg()))
    assert answer.status_code == 503
    html = answer.content.decode()
    assert "The storage does not answer" in html
    assert 'type="file"' in html


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (StorageUnavailable("the bucket does not answer"), 503, "The storage does not answer"),
        (Refused("already_finished", "It has ended."), 409, "It has ended."),
    ],
)
def test_every_page_says_why_an_action_is_refused(
    browser: Client, guest: UUID, monkeypatch, error: Exception, status: int, sentence: str
) -> None:
    def refuse(*args):
        raise error

    monkeypatch.setattr(cancellation, "cancel_image", refuse)
    answer = browser.post(f"{image(guest).get_absolute_url()}cancel/", headers={"Accept": "text/html"})
    assert answer.status_code == status
    assert sentence in answer.content.decode()


def test_signing_out_empties_the_browsers_cache(admin_client: Client) -> None:
    answer = admin_client.post("/accounts/logout/")
    assert answer.status_code == 302
    assert answer["Clear-Site-Data"] == '"cache"'


def test_an_empty_form_is_refused(browser: Client) -> None:
    answer = browser.post("/upload/")
    assert answer.status_code == 400
    assert "choose an image" in answer.content.decode()


def test_uploads_are_limited_like_those_by_the_api(browser: Client, monkeypatch) -> None:
    from webapp.studies.api.throttles import UploadThrottle

    monkeypatch.setattr(UploadThrottle, "THROTTLE_RATES", {"guest": "1/min", "user": "1/min"})
    assert upload(browser, ("a.jpeg", synthetic.xray_jpeg())).status_code == 302
    assert upload(browser, ("b.jpeg", synthetic.xray_jpeg())).status_code == 429
    assert Image.objects.count() == 1


def test_a_form_from_another_site_is_refused() -> None:
    assert upload(Client(enforce_csrf_checks=True), ("a.jpeg", synthetic.xray_jpeg())).status_code == 403
