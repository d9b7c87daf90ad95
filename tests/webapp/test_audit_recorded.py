"""The audit log records each way to see, download and change something."""

import json

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse

from tests.webapp.clients import IMAGES, JPEG, PASSWORD, STUDIES
from tests.webapp.rows import radiologists
from webapp.accounts.models import Token
from webapp.audit.models import Entry
from webapp.retention import services as retention
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services import deletion

pytestmark = pytest.mark.django_db


@pytest.fixture
def recorded():
    """Return the entries since the last call, as pairs of action and kind."""
    seen = set(Entry.objects.values_list("pk", flat=True))

    def new():
        added = Entry.objects.exclude(pk__in=seen).order_by("pk")
        entries = [(entry.action, entry.kind) for entry in added]
        seen.update(added.values_list("pk", flat=True))
        return entries

    return new


@pytest.fixture
def image(make_image, user):
    preview = default_storage.save("previews/a.jpg", ContentFile(JPEG))
    return make_image(Status.READY, owner=user, preview=preview, input=preview)


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root", password=PASSWORD)


def test_uploads(user, user_client, recorded):
    user_client.upload()
    user_client.upload_study({"a.jpg": JPEG, "b.jpg": JPEG})
    study = Study.objects.get()
    user_client.post(f"{STUDIES}{study.pk}/images/", {"files": [ContentFile(JPEG, "c.jpg")]})
    assert recorded() == [("create", "studies.image"), ("create", "studies.study"), ("change", "studies.study")]
    entry = Entry.objects.get(action="change")
    assert (entry.person, entry.address, entry.object_id) == ("ada", "127.0.0.1", str(study.pk))
    assert json.loads(entry.details) == {"archives": 0, "images": 1}
    assert entry.token == str(Token.objects.get())


def test_views_downloads_lists_and_exports(user_client, image, recorded, make_study):
    study = make_study(Status.READY, owner=image.owner)
    patient = Patient.objects.create(owner=image.owner, identifier="P")
    url = f"{IMAGES}{image.pk}/"
    for _ in range(2):
        pictures = (f"{url}preview/", f"{url}input/", f"{url}original/")
        for path in (url, f"{STUDIES}{study.pk}/", f"/api/v1/patients/{patient.pk}/", *pictures):
            assert user_client.get(path).status_code == 200
    assert recorded() == [
        ("view", "studies.image"), ("view", "studies.study"), ("view", "studies.patient"),
        *[("download", "studies.image")] * 3,
    ]  # fmt: skip
    for path in (IMAGES, STUDIES, f"{STUDIES}{study.pk}/images/", "/api/v1/patients/?search=P"):
        assert user_client.get(path).status_code == 200
    assert user_client.get(f"{STUDIES}{study.pk}/results.csv").status_code == 200
    assert recorded() == [
        ("list", "studies.image"), ("list", "studies.study"), ("list", "studies.study"), ("list", "studies.patient"),
        ("export", "studies.study"),
    ]  # fmt: skip
    assert json.loads(Entry.objects.get(kind="studies.patient", action="list").details) == {"filters": ["search"]}


def test_opening_pages(client, user, image, recorded, make_study):
    client.force_login(user)
    study = make_study(Status.READY, owner=user)
    recorded()
    for path in ("/", reverse("image", args=[image.pk]), reverse("study", args=[study.pk])):
        assert client.get(path).status_code == 200
    for path in (reverse("image-card", args=[image.pk]), reverse("study-progress", args=[study.pk])):
        assert client.get(path).status_code == 200, "requests by which a page updates itself are no views"
    assert recorded() == [("list", "studies.image"), ("view", "studies.image"), ("view", "studies.study")]


def test_a_request_without_access_is_not_recorded_as_a_view(client, image, recorded):
    assert client.get(f"{IMAGES}{image.pk}/").status_code == 404
    assert client.get("/").status_code == 200
    assert recorded() == []


def test_cancelling_and_deleting(user_client, make_image, make_study, user, recorded):
    image, study = make_image(owner=user), make_study(Status.QUEUED, Status.READY, owner=user)
    for _ in range(2):  # the second time there is nothing left to cancel
        user_client.post(f"{IMAGES}{image.pk}/cancel/")
        user_client.post(f"{STUDIES}{study.pk}/cancel/")
    user_client.delete(f"{IMAGES}{image.pk}/")
    user_client.delete(f"{STUDIES}{study.pk}/")
    assert recorded() == [
        ("cancel", "studies.image"), ("cancel", "studies.study"),
        ("delete", "studies.image"), ("delete", "studies.study"),
    ]  # fmt: skip


def test_a_deletion_that_fails_is_not_recorded(user_client, image, recorded, monkeypatch):
    monkeypatch.setattr(deletion, "delete_rows", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        user_client.delete(f"{IMAGES}{image.pk}/")
    assert recorded() == []


def test_the_purge_deletes_as_the_service_itself(make_image, guest, settings, recorded):
    make_image(Status.FAILED, guest=guest.guest), make_image(Status.FAILED, guest=guest.guest)
    settings.GUEST_RETENTION_HOURS = -1
    retention.purge()
    assert not Image.objects.exists()
    assert recorded() == [("delete", "studies.image")] * 2
    assert {entry.address for entry in Entry.objects.all()} == {""}


def test_a_verdict(user, user_client, make_image, read, recorded):
    radiologists().user_set.add(user)
    image = make_image(Status.READY, owner=user)
    read(image)
    user_client.put(f"{IMAGES}{image.pk}/reviews/", {"verdict": "NORMAL"}, content_type="application/json")
    assert recorded() == [("review", "studies.image")]


def test_signing_in_and_out(client, user, recorded):
    wrong = {"login": "ada", "password": "wrong"}
    client.post(reverse("account_login"), wrong)
    client.post(reverse("account_login"), {**wrong, "login": "my password"})
    client.post(reverse("account_login"), {"login": "ada", "password": PASSWORD})
    client.post(reverse("account_logout"))
    assert [action for action, _ in recorded()] == ["sign_in_failed", "sign_in_failed", "sign_in", "sign_out"]
    known, unknown, *_ = Entry.objects.order_by("pk")
    assert (known.object_id, unknown.object_id, known.address) == (str(user.pk), "", "127.0.0.1")
    assert not Entry.objects.filter(details__contains="password").exists()


def test_tokens(client, user, recorded):
    answer = client.post("/api/v1/auth/token/", {"username": "ada", "password": PASSWORD, "name": "scanner"})
    headers = {"Authorization": f"Token {answer.json()['token']}"}
    client.get(IMAGES, headers=headers)
    client.delete("/api/v1/auth/token/", headers=headers)
    assert [action for action, _ in recorded()] == ["token_issue", "list", "token_revoke"]
    assert set(Entry.objects.filter(action__in=("list", "token_revoke")).values_list("token", flat=True)) == {"scanner"}


def test_the_admin_site(client, root, image, make_department, recorded):
    client.force_login(root)
    department = make_department()
    token = Token.objects.create(digest="x", user=root, name="old", expires_at="2027-01-01T00:00Z")
    recorded()
    for path in ("studies/image/", f"studies/image/{image.pk}/change/"):
        assert client.get(f"/admin/{path}").status_code == 200
    assert recorded() == [("list", "studies.image"), ("view", "studies.image")]
    form = {"name": "Chest", "slug": "chest", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    assert client.post(f"/admin/departments/department/{department.pk}/change/", form).status_code == 302
    assert recorded() == [("change", "departments.department")]
    assert json.loads(Entry.objects.latest("pk").details) == {"admin": True, "fields": ["Name", "Slug"]}
    for path, chosen in (("accounts/token", token.pk), ("studies/image", image.pk)):
        chosen = {"action": "delete_selected", "_selected_action": [chosen], "post": "yes"}
        assert client.post(f"/admin/{path}/", chosen).status_code == 302
    assert recorded() == [("delete", "accounts.token"), ("delete", "studies.image")], "each is recorded once"
    assert not Image.objects.exists()
