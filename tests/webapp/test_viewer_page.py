"""What the page of an image gives its viewer: the original file, the model's input, and earlier images."""

import re
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from tests.plans import recorded
from tests.webapp.clients import JPEG, PASSWORD, PNG, Client
from webapp.accounts.identity import Identity
from webapp.audit.models import Entry
from webapp.dicom.models import Instance
from webapp.sharing import services as sharing
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient

pytestmark = pytest.mark.django_db


@pytest.fixture
def patient(user: User) -> Patient:
    return Patient.objects.create(owner=user, identifier="P-17")


@pytest.fixture
def make(make_image: Any, read: Any, user: User) -> Any:
    """Make an image of ``days`` ago that the model has read."""

    def make_read_image(days: int = 0, *, preview: bool = True, **fields: Any) -> Image:
        owner = {} if {"owner", "guest", "department"} & set(fields) else {"owner": user}
        image: Image = make_image(Status.READY, filename=f"{days} days ago.jpg", **owner, **fields)
        changes = {"created_at": timezone.now() - timedelta(days=days), "width": 1600, "height": 1200}
        if preview:
            changes["preview"] = default_storage.save(f"previews/{image.pk}.jpg", ContentFile(JPEG))
        Image.objects.filter(pk=image.pk).update(**changes)
        read(image)
        image.refresh_from_db()
        return image

    return make_read_image


@pytest.fixture
def browser(new_client: type[Client], user: User) -> Client:
    signed_in = new_client()
    signed_in.force_login(user)
    return signed_in


def earlier(html: str) -> list[str]:
    """Return the URLs of the earlier images that a page lists."""
    section = re.search(r'<section class="priors".*?</section>', html, re.DOTALL)
    return re.findall(r'<a href="([^"]+)"', section[0]) if section else []


def page(browser: Client, url: str) -> str:
    answer = browser.get(url)
    assert answer.status_code == 200
    return str(answer.content.decode())


# --- attributes of the DICOM file -----------------------------------------------------------------------------------


def test_dicom_attributes_are_shown_only_to_those_who_may_download_the_file(
    browser: Client, new_client: type[Client], make: Any, user: User
) -> None:
    image = make()
    Image.objects.filter(pk=image.pk).update(file="uploads/chest.dcm")
    uids = dict.fromkeys(("study_uid", "series_uid", "instance_uid", "class_uid"), "1.2.3")
    attributes = {"study_date": date(2026, 11, 2), "study_description": "Thorax <a.p.>", "body_part": "CHEST"}
    Instance.objects.create(image=image, **uids, **attributes, calling_ae="ROOM3")
    html = page(browser, image.get_absolute_url())
    assert re.findall(r"<dt>(?:Examination|Body part|Sent by|Day of the examination)</dt><dd>(.*?)</dd>", html) == [
        "2 Nov 2026", "Thorax &lt;a.p.&gt;", "CHEST", "ROOM3",
    ]  # fmt: skip
    assert "Modality" not in html
    grace = new_client()
    grace.force_login(User.objects.create_user("grace", password=PASSWORD))
    sharing.share_with(Identity(user=user), image, "grace")
    assert "Thorax" not in page(grace, image.get_absolute_url())


# --- earlier images -------------------------------------------------------------------------------------------------


def test_earlier_images_of_the_patient_are_listed_newest_first(browser: Client, make: Any, patient: Patient) -> None:
    image, old, older = (make(days, patient=patient) for days in (5, 9, 20))
    make(1, patient=patient)
    make(30)
    make(40, patient=patient, preview=False)
    html = page(browser, image.get_absolute_url())
    assert earlier(html) == [old.get_absolute_url(), older.get_absolute_url()]
    assert f'data-beside="/api/v1/images/{old.pk}/preview/" data-width="1600" data-height="1200"' in html
    assert re.search(r"data-words=\"Earlier: \d+ \w+ \d{4}, Signs of pneumonia, 90.0 %\"", html)


def test_the_score_of_an_earlier_image_with_a_verdict_is_marked_as_the_models(
    browser: Client, make: Any, patient: Patient
) -> None:
    image, old = (make(days, patient=patient) for days in (5, 9))
    Image.objects.filter(pk=old.pk).update(verdict="NORMAL", group="negative")
    html = page(browser, image.get_absolute_url())
    assert '<span class="tag negative">Normal</span> <span class="muted">model</span> <strong>90.0 %</strong>' in html
    assert re.search(r"data-words=\"Earlier: \d+ \w+ \d{4}, Normal, model 90.0 %\"", html)


@pytest.mark.skipif(connection.vendor == "mysql", reason="tests/plans.py does not read the plans of MySQL")
def test_earlier_images_are_found_by_an_index(browser: Client, make: Any, patient: Patient) -> None:
    image, *_ = (make(days, patient=patient) for days in (5, 9, 20))
    browser.get(image.get_absolute_url())
    with recorded() as queries:
        assert len(earlier(page(browser, image.get_absolute_url()))) == 2
    assert queries.bad_plans() == []


def test_an_image_without_a_patient_or_without_earlier_ones_has_no_list(
    browser: Client, make: Any, patient: Patient
) -> None:
    make(9)
    for image in (make(5), make(5, patient=patient)):
        assert "Earlier images" not in page(browser, image.get_absolute_url())


def test_a_shared_image_lists_only_shared_earlier_images(
    new_client: type[Client], make: Any, patient: Patient, user: User
) -> None:
    image, old, older = (make(days, patient=patient) for days in (5, 9, 20))
    colleague = new_client()
    colleague.force_login(User.objects.create_user("grace", password=PASSWORD))
    for shared in (image, older):
        sharing.share_with(Identity(user=user), shared, "grace")
    assert earlier(page(colleague, image.get_absolute_url())) == [older.get_absolute_url()]
    assert colleague.get(old.get_absolute_url()).status_code == 404


def test_a_member_sees_earlier_images_of_the_department(
    new_client: type[Client], make: Any, make_department: Any
) -> None:
    reader = User.objects.create_user("rea", password=PASSWORD)
    department = make_department(reader=reader)
    patient = Patient.objects.create(department=department, identifier="P-17")
    image, old = (make(days, department=department, patient=patient) for days in (5, 9))
    member, other = new_client(), new_client()
    member.force_login(reader)
    assert earlier(page(member, image.get_absolute_url())) == [old.get_absolute_url()]
    assert other.get(image.get_absolute_url()).status_code == 404


def test_a_link_shows_only_earlier_images_within_its_share(
    new_client: type[Client], make: Any, make_study: Any, patient: Patient, user: User
) -> None:
    study = make_study(owner=user)
    image, old = (make(days, patient=patient, study=study) for days in (5, 9))
    make(12, patient=patient)
    identity = Identity(user=user)
    _, token = sharing.share_by_link(identity, study, 1)
    html = page(new_client(), f"/shared/{token}/images/{image.pk}/")
    assert earlier(html) == [f"/shared/{token}/images/{old.pk}/"]
    assert f'data-beside="/shared/{token}/images/{old.pk}/preview/"' in html
    _, token = sharing.share_by_link(identity, image, 1)
    assert earlier(page(new_client(), f"/shared/{token}/")) == []


# --- the original file and the model's input ------------------------------------------------------------------------


def test_the_page_names_a_file_with_more_pixels_than_its_preview(browser: Client, make: Any, user: User) -> None:
    image = make(preview=True)
    address = f'data-original="/api/v1/images/{image.pk}/original/"'
    assert address in page(browser, image.get_absolute_url())
    assert 'data-width="1600" data-height="1200"' in page(browser, image.get_absolute_url())
    Image.objects.filter(pk=image.pk).update(preview=image.file.name)
    assert "data-original" not in page(browser, image.get_absolute_url()), "the preview is the file itself"
    tiff = default_storage.save("uploads/a.tif", ContentFile(b"II*\0"))
    Image.objects.filter(pk=image.pk).update(preview="previews/a.jpg", file=tiff)
    assert "data-original" not in page(browser, image.get_absolute_url()), "browsers cannot show TIFF"


def test_the_page_of_a_link_names_neither_the_file_nor_the_models_input(
    new_client: type[Client], make: Any, user: User
) -> None:
    image = make()
    image.readings.update(input="inputs/a.png")
    _, token = sharing.share_by_link(Identity(user=user), image, 1)
    html = page(new_client(), f"/shared/{token}/")
    assert "data-do=" in html
    for absent in ("data-original", "Model's view", "/api/v1/"):
        assert absent not in html


def test_the_models_view_has_its_region_in_the_picture(browser: Client, make: Any) -> None:
    image = make()
    assert "Model's view" not in page(browser, image.get_absolute_url())
    image.readings.update(input="inputs/a.png", region=[10, 20, 300, 400])
    html = page(browser, image.get_absolute_url())
    assert f'data-beside="/api/v1/images/{image.pk}/input/" data-region="10,20,300,400"' in html


@pytest.mark.parametrize(("content", "kind"), [(JPEG, "image/jpeg"), (PNG, "image/png")])
def test_the_original_is_the_file_as_it_was_uploaded(
    user_client: Client, user: User, client: Client, problem: Any, content: bytes, kind: str
) -> None:
    job = user_client.upload(content, filename="Röntgen é.jpg").json()
    Entry.objects.all().delete()
    answer = user_client.get(f"{job['url']}original/")
    assert answer.getvalue() == content
    assert answer["Content-Type"] == kind
    assert answer["Content-Disposition"].startswith("attachment; filename*=utf-8''R%C3%B6ntgen")
    assert answer["Cache-Control"] == "private, no-cache"
    entry = Entry.objects.get()
    assert (entry.action, entry.object_id, entry.details) == ("download", job["id"], '{"file": "original"}')
    again = user_client.get(f"{job['url']}original/", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304
    problem(client.get(f"{job['url']}original/"), 404, "not_found")
    problem(user_client.get(f"/api/v1/images/{uuid4()}/original/"), 404, "not_found")
