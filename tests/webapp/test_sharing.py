"""Sharing with a colleague by name, and with anyone by links that expire."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.webapp.clients import PASSWORD
from webapp.accounts.identity import Identity
from webapp.accounts.tokens import digest
from webapp.audit.models import Action, Entry
from webapp.http import keyset
from webapp.retention import services as retention
from webapp.sharing import services
from webapp.sharing.models import Share
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services import deletion


@pytest.fixture
def browser(new_client, user):
    signed_in = new_client()
    signed_in.force_login(user)
    return signed_in


@pytest.fixture
def colleague(db):
    return User.objects.create_user("grace", password=PASSWORD)


@pytest.fixture
def grace(new_client, colleague):
    signed_in = new_client()
    signed_in.force_login(colleague)
    return signed_in


@pytest.fixture
def study(user, make_study, read):
    new_study = make_study(Status.QUEUED, Status.FAILED, owner=user, name="ward 3")
    Study.objects.filter(pk=new_study.pk).update(patient=Patient.objects.create(owner=user, identifier="P-1"))
    image = new_study.images.get(filename="0.jpg")
    Image.objects.filter(pk=image.pk).update(preview=image.file.name, width=160, height=120)
    read(image, pneumonia=0.95, heatmap=bytes(range(196)))
    return new_study


def image_of(study):
    return study.images.get(filename="0.jpg")


def make_link(browser, row):
    page = browser.post(f"{row.get_absolute_url()}share/", {"days": "7"})
    assert page.status_code == 200
    return re.search(r'value="http://testserver(/shared/[^"]+/)"', page.content.decode()).group(1)


# --- with a colleague -------------------------------------------------------------------------------------------------


def addresses(study):
    image = image_of(study)
    return [
        f"/studies/{study.pk}/", f"/api/v1/studies/{study.pk}/", f"/api/v1/studies/{study.pk}/images/",
        f"/api/v1/studies/{study.pk}/results.csv", f"/images/{image.pk}/", f"/api/v1/images/{image.pk}/",
        f"/api/v1/images/{image.pk}/preview/", f"/api/v1/images/{image.pk}/heatmap.png",
        f"/api/v1/images/{image.pk}/report.pdf", f"/images/{image.pk}/report.pdf",
    ]  # fmt: skip


@pytest.mark.long  # it renders reports
def test_a_colleague_can_see_a_shared_study_and_its_images_but_not_change_them(browser, grace, study, new_client):
    assert {grace.get(url).status_code for url in addresses(study)} == {404}
    assert browser.post(f"/studies/{study.pk}/share/", {"username": "grace"}).status_code == 302
    assert {grace.get(url).status_code for url in addresses(study)} == {200}
    assert {new_client().get(url).status_code for url in addresses(study)} == {404}
    assert "ward 3" in grace.get("/shared/").content.decode()
    image = image_of(study)
    original = f"/api/v1/images/{image.pk}/original/"  # the file may name its patient
    assert (grace.get(original).status_code, original in grace.get(f"/images/{image.pk}/").content.decode()) == (
        403,
        False,
    )
    for row in (f"/studies/{study.pk}/", f"/images/{image.pk}/"):
        page = grace.get(row).content.decode()
        for word in ("delete", "edit", "share", "cancel", "retry"):
            assert f"{row}{word}/" not in page
            assert grace.post(f"{row}{word}/").status_code == 403, word
    for url in (f"/api/v1/studies/{study.pk}/", f"/api/v1/images/{image.pk}/"):
        assert grace.delete(url).status_code == 403
        assert grace.patch(url, {"patient": ""}, content_type="application/json").status_code == 403
    assert Study.objects.get().patient.identifier == "P-1"
    # Lists contain only one's own images, and patients stay hidden.
    assert grace.get("/api/v1/studies/").json()["results"] == grace.get("/api/v1/patients/").json()["results"] == []


def test_the_list_of_shared_items_has_pages(browser, grace, study, monkeypatch):
    monkeypatch.setattr(keyset, "SIZE", 1)
    browser.post(f"/studies/{study.pk}/share/", {"username": "grace"})
    browser.post(f"/images/{image_of(study).pk}/share/", {"username": "grace"})
    first = grace.get("/shared/").content.decode()
    assert "0.jpg" in first
    assert "ward 3" not in first
    older = re.search(r'href="(\?before=[^"]+)"', first).group(1)
    second = grace.get(f"/shared/{older}").content.decode()
    assert "ward 3" in second
    assert "0.jpg" not in second
    assert "Older" not in second


def test_sharing_an_image_shows_nothing_else_of_its_study(browser, grace, study):
    image, other = image_of(study), study.images.get(filename="1.jpg")
    browser.post(f"/images/{image.pk}/share/", {"username": "grace"})
    page = grace.get(f"/images/{image.pk}/")
    assert page.status_code == 200
    assert f"/studies/{study.pk}/" not in page.content.decode()
    assert grace.get(f"/images/{other.pk}/").status_code == grace.get(f"/studies/{study.pk}/").status_code == 404


def test_a_share_can_be_revoked(browser, grace, study):
    page = f"/studies/{study.pk}/share/"
    browser.post(page, {"username": "grace"})
    browser.post(page, {"username": "grace"})
    share = Share.objects.get()
    assert "grace" in browser.get(page).content.decode()
    browser.post(page, {"end": str(share.pk)})
    assert not Share.objects.exists()
    assert grace.get(f"/studies/{study.pk}/").status_code == 404


@pytest.mark.parametrize("name", ["nobody", "ada", "", "retired"])
def test_sharing_needs_another_active_account(browser, study, colleague, name):
    User.objects.create_user("retired", is_active=False)
    answer = browser.post(f"/studies/{study.pk}/share/", {"username": name})
    assert answer.status_code == 400
    assert "no other account" in answer.content.decode()
    assert not Share.objects.exists()


@pytest.mark.parametrize("name", ["a\0b", "x" * 151])
def test_an_invalid_account_name_is_refused(browser, study, name):
    answer = browser.post(f"/studies/{study.pk}/share/", {"username": name})
    assert answer.status_code == 400
    assert "Please choose from the form." in answer.content.decode()


def test_sharing_needs_the_right_to_change(grace, colleague, make_department, make_study, study):
    department = make_department(reader=colleague)
    read_only = make_study(department=department)
    for method in (grace.get, grace.post):
        assert method(f"/studies/{read_only.pk}/share/").status_code == 403
        assert method(f"/studies/{study.pk}/share/").status_code == 404
    assert not Share.objects.exists()


def test_a_share_of_another_study_cannot_be_ended(browser, study, user, make_study, colleague):
    other = make_study(owner=colleague)
    services.share_with(Identity(user=colleague), other, "ada")
    browser.post(f"/studies/{study.pk}/share/", {"end": str(Share.objects.get().pk)})
    assert Share.objects.count() == 1


# --- by link ----------------------------------------------------------------------------------------------------------


def test_a_link_shows_the_study_and_its_pictures_and_nothing_else(browser, new_client, study):
    link, anybody, image = make_link(browser, study), new_client(), image_of(study)
    pages = [link, f"{link}images/{image.pk}/"]
    for url in (*pages, f"{link}images/{image.pk}/preview/", f"{link}images/{image.pk}/heatmap.png"):
        answer = anybody.get(url)
        assert answer.status_code == 200, url
        assert answer["X-Robots-Tag"] == "noindex, nofollow"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["Cache-Control"] == "private, no-store"
        assert not answer.cookies
    assert not anybody.cookies
    shown = anybody.get(pages[0]).content.decode()
    assert "Signs of pneumonia" in shown
    assert "95.0 %" in shown
    for url in pages:
        html = anybody.get(url).content.decode()
        assert set(re.findall(r'href="(/[^"]*)"', html)) <= {
            "/", "/manifest.webmanifest", link, pages[1], *re.findall(r'href="(/static/[^"]*)"', html),
            f"{link}images/{study.images.get(filename='1.jpg').pk}/",
        }  # fmt: skip
        assert "<form" not in html
    assert {anybody.get(url).status_code for url in addresses(study)} == {404}
    assert {anybody.post(url).status_code for url in pages} == {405}


def test_a_link_to_an_image_shows_that_image_only(browser, new_client, study):
    image, other = image_of(study), study.images.get(filename="1.jpg")
    link, anybody = make_link(browser, image), new_client()
    assert "95.0 %" in anybody.get(link).content.decode()
    assert anybody.get(f"{link}images/{image.pk}/preview/").status_code == 200
    assert anybody.get(f"{link}images/{other.pk}/").status_code == 404
    assert anybody.get(f"{link}images/{uuid4()}/preview/").status_code == 404


def test_a_long_study_has_pages_at_its_link(browser, new_client, study, make_image, monkeypatch):
    monkeypatch.setattr("webapp.dashboard.shares.PAGE", 1)
    link, anybody = make_link(browser, study), new_client()
    first = anybody.get(link).content.decode()
    (after,) = re.findall(r'href="([^"]*cursor[^"]*)"', first)
    second = anybody.get(after).content.decode()
    assert "0.jpg" in first
    assert "1.jpg" not in first
    assert "1.jpg" in second
    assert anybody.get(f"{link}?cursor=x").status_code == 400


def test_the_token_of_a_link_is_stored_only_as_a_hash(browser, study):
    token = make_link(browser, study).split("/")[2]
    share = Share.objects.get()
    assert share.token_hash == digest(token)
    assert token not in browser.get(f"/studies/{study.pk}/share/").content.decode()


def test_a_link_expires(browser, new_client, study):
    link = make_link(browser, study)
    share = Share.objects.get()
    assert timedelta(days=6.9) < share.expires_at - timezone.now() < timedelta(days=7)
    Share.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    image = image_of(study)
    for url in (link, f"{link}images/{image.pk}/", f"{link}images/{image.pk}/preview/"):
        assert new_client().get(url).status_code == 404
    assert "until" not in browser.get(f"/studies/{study.pk}/share/").content.decode()
    assert retention.purge().errors == []
    assert not Share.objects.exists()


def test_a_revoked_link_is_not_found(browser, new_client, study):
    link = make_link(browser, study)
    browser.post(f"/studies/{study.pk}/share/", {"end": str(Share.objects.get().pk)})
    assert new_client().get(link).status_code == 404


@pytest.mark.parametrize("token", ["x", "0" * 43, "None", "%00", "a/b"])
def test_guessed_tokens_are_not_found(new_client, browser, study, token):
    make_link(browser, study)
    services.share_with(
        Identity(user=User.objects.get(username="ada")), study, User.objects.create_user("third").username
    )
    assert new_client().get(f"/shared/{token}/").status_code in (400, 404)


def test_requests_by_links_are_limited(new_client, monkeypatch):
    monkeypatch.setattr("webapp.dashboard.shares.LinkThrottle.rate", "3/min", raising=False)
    anybody = new_client()
    assert [anybody.get(f"/shared/{n}/").status_code for n in range(5)] == [404, 404, 404, 429, 429]


@pytest.mark.parametrize("days", ["0", "31", "-1", "x", ""])
def test_a_link_lasts_between_one_and_thirty_days(browser, study, days):
    assert browser.post(f"/studies/{study.pk}/share/", {"days": days}).status_code == 400
    assert not Share.objects.exists()


def test_a_guest_can_share_only_by_link(client, new_client, colleague):
    client.upload()
    image = Image.objects.get()
    link = make_link(client, image)
    assert new_client().get(link).status_code == 200
    assert "username" not in client.get(f"/images/{image.pk}/share/").content.decode()
    client.post(f"/images/{image.pk}/share/", {"username": "grace"})
    assert Share.objects.count() == 1


def test_deleting_a_study_deletes_its_shares(browser, new_client, study, colleague, user):
    link = make_link(browser, study)
    services.share_with(Identity(user=user), image_of(study), "grace")
    deletion.delete_study(study)
    assert not Share.objects.exists()
    assert new_client().get(link).status_code == 404


def test_the_number_of_shares_is_limited(study, user, colleague, monkeypatch):
    monkeypatch.setattr(services, "MAX_SHARES", 1)
    services.share_by_link(Identity(user=user), study, 1)
    with pytest.raises(services.Refused, match="already"):
        services.share_by_link(Identity(user=user), study, 1)


def test_the_audit_records_shares_and_the_use_of_links(browser, new_client, study, colleague):
    page = f"/studies/{study.pk}/share/"
    link = make_link(browser, study)
    browser.post(page, {"username": "grace"})
    new_client().get(link, REMOTE_ADDR="10.1.1.1")
    by_link, by_name = Share.objects.order_by("created_at")
    browser.post(page, {"end": str(by_link.pk)})
    entries = Entry.objects.filter(object_id=str(study.pk)).order_by("pk").values_list("action", "person", "details")
    assert [entry for entry in entries if entry[0] == Action.SHARE] == [
        ("share", "ada", f'{{"days": 7, "share": "{by_link.pk}"}}'),
        ("share", "ada", f'{{"share": "{by_name.pk}", "user": {colleague.pk}}}'),
        ("share", "ada", f'{{"revoked": true, "share": "{by_link.pk}"}}'),
    ]
    view = Entry.objects.get(action=Action.VIEW, object_id=str(study.pk), address="10.1.1.1")
    assert view.details == f'{{"share": "{by_link.pk}"}}'
