"""Open studies, for which more files are expected."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from tests.webapp.clients import JPEG, PNG, STUDIES
from tests.webapp.resumable import begin, go_on
from webapp.studies.models import Image, Study
from webapp.studies.outbox.models import Delivery
from webapp.studies.services import deletion, describing, opening, reconciliation, uploads


@pytest.fixture
def study(user_client):
    answer = user_client.post(STUDIES, {"more_to_come": "true", "name": "ward 3", "patient": "P-1"})
    assert answer.status_code == 202
    return answer.json()


def add(client, study, *names, content=JPEG):
    return client.post(study["images_url"], {"files": [SimpleUploadedFile(name, content) for name in names]}).json()


def finished():
    return Delivery.objects.filter(kind="study.finished").count()


def test_an_open_study_needs_no_file_and_does_not_finish_before_it_is_closed(user_client, study, read, problem):
    assert (study["status"], study["total"], study["open"], study["patient"]) == ("queued", 0, True, "P-1")
    problem(user_client.post(STUDIES, {"name": "nothing"}), 400, "invalid_request")
    add(user_client, study, "a.jpg")
    read(*Image.objects.all())
    found = user_client.get(study["url"]).json()
    assert (found["status"], found["total"], found["counts"]["succeeded"]) == ("running", 1, 1)
    assert finished() == 0
    assert [one["id"] for one in user_client.get(STUDIES, {"status": "running"}).json()["results"]] == [study["id"]]
    assert not user_client.get(STUDIES, {"status": "finished"}).json()["results"]
    assert not Study.objects.at_rest().exists()
    closed = user_client.post(f"{study['url']}close/").json()
    assert (closed["status"], closed["open"]) == ("finished", False)
    assert finished() == 1
    user_client.post(f"{study['url']}close/")
    assert finished() == 1


def test_it_closes_by_itself_if_nothing_arrives_for_long(user_client, study):
    Study.objects.update(open_until=timezone.now() + timedelta(seconds=5))
    add(user_client, study, "a.txt", content=b"text")
    assert reconciliation.reconcile(reconciliation.Workers())["closed"] == 0, "a new file postpones the end"
    Study.objects.update(open_until=timezone.now() - timedelta(seconds=1))
    assert opening.close_abandoned(10) == 1
    assert user_client.get(study["url"]).json()["status"] == "finished"
    assert finished() == 1


def test_it_can_be_cancelled_while_it_waits_for_files(user_client, study, problem):
    cancelled = user_client.post(f"{study['url']}cancel/").json()
    assert (cancelled["status"], cancelled["open"]) == ("cancelled", False)
    more = user_client.post(study["images_url"], {"files": [SimpleUploadedFile("a.jpg", JPEG)]})
    problem(more, 409, "study_cancelled")


def add_by_api(client, study, file):
    return client.post(study["images_url"], {"files": [file]})


def add_by_page(client, study, file):
    return client.post("/upload/", {"files": [file], "study": study["id"]}, headers={"Accept": "text/html"})


def add_in_parts(client, study, file):
    return go_on(client, begin(client, file.size, study=study["id"], filename=file.name)["Location"], 0, file.read())


@pytest.mark.parametrize("send", [add_by_api, add_by_page, add_in_parts])
@pytest.mark.parametrize(
    "file", [("a.jpg", JPEG), ("manifest.csv", b"file,patient\na.jpg,P-2\n")], ids=["image", "manifest"]
)
def test_no_file_stays_if_the_study_is_deleted_meanwhile(
    user, user_client, client, study, settings, monkeypatch, send, file
):
    for module, name in ((uploads, "_keep_more"), (describing, "_describe")):
        function = getattr(module, name)

        def delete_first(*args, function=function, **kwargs):
            deletion.delete_study(Study.objects.get())
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, delete_first)
    client.force_login(user)
    answer = send(client, study, SimpleUploadedFile(*file))
    assert answer.status_code == 409
    assert "deleted" in answer.text
    assert not [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()]


def test_the_response_lists_refused_files_and_duplicates(user_client, study):
    before = user_client.upload(PNG).json()
    first = add(user_client, study, "a.jpg", "b.jpg")
    assert [one["filename"] for one in first["duplicates"]] == ["b.jpg"], "the second of two equal files"
    assert "refused" not in first
    assert add(user_client, study, "c.jpg", content=JPEG + b"x")["duplicates"] == []
    again = add(user_client, study, "again.png", content=PNG)
    assert again["duplicates"] == [{"filename": "again.png", "url": before["url"], "page_url": before["page_url"]}]
    assert add(user_client, study, "notes.txt", content=b"text")["refused"][0]["filename"] == "notes.txt"


def test_it_is_closed_on_its_page(user, client, user_client, study):
    client.force_login(user)
    page = client.get(f"/studies/{study['id']}/").content.decode()
    assert "More files are expected" in page
    assert client.post(f"/studies/{study['id']}/close/").status_code == 302
    assert "More files are expected" not in client.get(f"/studies/{study['id']}/").content.decode()


def test_the_page_of_a_study_from_dicom_says_that_images_are_still_arriving(client, user, study):
    client.force_login(user)
    page = f"/studies/{study['id']}/"
    assert "half an hour" in client.get(page).text
    Study.objects.update(source="dicom")
    page = client.get(page).text
    assert "Images are still arriving" in page
    assert "Close now" in page
