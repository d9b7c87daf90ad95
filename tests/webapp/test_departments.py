"""Who may do what: each predicate for each role and each kind of owner, and the same through the API and the pages."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from tests.webapp.clients import JPEG, PASSWORD, Client
from tests.webapp.rows import administer, radiologists
from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.access import department_for
from webapp.departments.models import Department
from webapp.refusals import Refused
from webapp.reviews import services as reviews
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services import archives

pytestmark = pytest.mark.django_db

ACTORS = (
    "nobody", "guest", "non-member", "person", "radiologist", "reader", "uploader", "manager", "outsider", "staff",
    "administrator", "superuser",
)  # fmt: skip
#: Who may do each thing to what each kind of owner has. "radiologist" is the person, as a member of Radiologists;
#: "outsider" is a manager of another department; "staff" may enter the admin site only.
ALLOWED: dict[str, dict[str, set[str]]] = {
    "may_see": {
        "guest": {"guest", "administrator", "superuser"},
        "person": {"person", "radiologist", "administrator", "superuser"},
        "department": {"reader", "uploader", "manager", "administrator", "superuser"},
    },
    "may_add_to": {
        "guest": {"guest", "administrator", "superuser"},
        "person": {"person", "radiologist", "administrator", "superuser"},
        "department": {"uploader", "manager", "administrator", "superuser"},
    },
    "may_change": {
        "guest": {"guest", "administrator", "superuser"},
        "person": {"person", "radiologist", "administrator", "superuser"},
        "department": {"uploader", "manager", "administrator", "superuser"},
    },
    "may_cancel": {
        "guest": {"guest", "administrator", "superuser"},
        "person": {"person", "radiologist", "administrator", "superuser"},
        "department": {"manager", "administrator", "superuser"},
        "department, own upload": {"uploader", "manager", "administrator", "superuser"},
    },
    "may_see_verdicts": {
        "guest": {"administrator", "superuser"},
        "person": {"person", "radiologist", "administrator", "superuser"},
        "department": {"reader", "uploader", "manager", "administrator", "superuser"},
    },
    "may_review": {
        "guest": {"superuser"},
        "person": {"radiologist", "superuser"},
        "department": {"reader", "manager", "superuser"},
    },
    "may_delete": {
        "guest": {"guest", "administrator", "superuser"},
        "person": {"person", "radiologist", "administrator", "superuser"},
        "department": {"manager", "administrator", "superuser"},
        "department, own upload": {"manager", "administrator", "superuser"},
    },
}


class Hospital:
    """Everybody who could ask, and something of each kind of owner."""

    def __init__(self, make_department: Callable[..., Department], make_image: Callable[..., Image]) -> None:
        self.users = {
            name: User.objects.create_user(name, password=PASSWORD)
            for name in ("non-member", "person", "reader", "uploader", "manager", "outsider", "administrator")
        }
        self.users["staff"] = User.objects.create_user("staff", is_staff=True)
        self.users["superuser"] = User.objects.create_superuser("superuser")
        self.users["administrator"].user_permissions.add(administer())
        members = {role: self.users[role] for role in ("reader", "uploader", "manager")}
        self.department = make_department("radiology", **members)
        self.other = make_department("surgery", manager=self.users["outsider"])
        self.guest = uuid4()
        self.images = {
            "guest": make_image(guest=self.guest),
            "person": make_image(owner=self.users["person"]),
            "department": make_image(department=self.department, uploaded_by=self.users["manager"]),
            "department, own upload": make_image(department=self.department, uploaded_by=self.users["uploader"]),
        }

    def identity(self, actor: str) -> Identity:
        if actor in ("nobody", "guest"):
            return Identity(guest=self.guest if actor == "guest" else None)
        user = self.users["person" if actor == "radiologist" else actor]
        if actor == "radiologist":
            user.groups.add(radiologists())
        return Identity(user=User.objects.get(pk=user.pk))


@pytest.fixture
def hospital(make_department: Callable[..., Department], make_image: Callable[..., Image]) -> Hospital:
    return Hospital(make_department, make_image)


@pytest.mark.parametrize("name", ALLOWED)
def test_each_predicate_for_each_role_and_kind_of_owner(hospital: Hospital, name: str) -> None:
    predicate = getattr(permissions, name)
    for kind, allowed in ALLOWED[name].items():
        # In this order: the person becomes a radiologist only after it was asked as a mere person.
        found = {actor for actor in ACTORS if predicate(hospital.identity(actor), hospital.images[kind])}
        assert found == allowed, kind
        hospital.users["person"].groups.clear()


def test_lists_show_what_may_be_seen_and_nothing_else(hospital: Hospital) -> None:
    for actor in ACTORS:
        identity = hospital.identity(actor)
        listed = set(Image.objects.visible_to(identity))
        assert listed == {image for image in hospital.images.values() if permissions.may_see(identity, image)}, actor


def test_who_may_upload_to_a_department(hospital: Hospital) -> None:
    found = {actor for actor in ACTORS if permissions.may_upload_to(hospital.identity(actor), hospital.department)}
    assert found == {"uploader", "manager", "administrator", "superuser"}


def test_who_is_an_administrator(hospital: Hospital) -> None:
    found = {actor for actor in ACTORS if permissions.is_administrator(hospital.identity(actor).user)}
    assert found == {"administrator", "superuser"}
    User.objects.filter(username="superuser").update(is_active=False)
    assert not permissions.is_administrator(hospital.identity("superuser").user)


def test_where_an_upload_goes(hospital: Hospital, make_department: Callable[..., Department]) -> None:
    def goes(actor: str, slug: str | None) -> Department | str | None:
        try:
            return department_for(hospital.identity(actor), slug)
        except Refused as refusal:
            return refusal.code

    assert goes("uploader", None) == hospital.department, "the only one"
    assert goes("manager", None) == hospital.department
    for actor in ("nobody", "guest", "non-member", "reader", "administrator"):
        assert goes(actor, None) is None, actor
    for actor in ACTORS:
        assert goes(actor, "") is None, "their own, whatever the departments"
    assert goes("uploader", "radiology") == goes("administrator", "radiology") == hospital.department
    assert goes("reader", "radiology") == "not_an_uploader"
    for actor in ("nobody", "guest", "non-member", "outsider", "staff"):
        assert goes(actor, "radiology") == "department_not_found", actor
    assert goes("uploader", "surgery") == goes("administrator", "nowhere") == "department_not_found"
    make_department("icu", uploader=hospital.users["uploader"])
    assert goes("uploader", None) is None, "of several, none is guessed"
    assert goes("uploader", "icu") == Department.objects.get(slug="icu")


# --- through the API ------------------------------------------------------------------------------------------------


def browser(user: User) -> Client:
    by = Client()
    by.force_login(user)
    return by


def test_a_department_shares_what_its_uploaders_send(
    hospital: Hospital, read: Callable[..., None], problem: Any
) -> None:
    uploader, reader = browser(hospital.users["uploader"]), browser(hospital.users["reader"])
    job = uploader.upload(patient="P-1").json()
    assert job["department"] == "radiology"
    assert job["patient"] == "P-1"
    image = Image.objects.get(pk=job["id"])
    assert (image.owner, image.guest, image.department) == (None, None, hospital.department)
    assert image.uploaded_by == hospital.users["uploader"]
    assert image.patient.department == hospital.department
    assert reader.get(job["url"]).json()["department"] == "radiology"
    assert job["id"] in {one["id"] for one in reader.get("/api/v1/images/").json()["results"]}
    problem(reader.post(f"{job['url']}cancel/"), 403, "not_allowed")
    assert reader.post(f"/images/{job['id']}/cancel/").status_code == 403
    assert b'id="cancel"' not in reader.get(f"/images/{job['id']}/").content
    assert b'id="cancel"' in uploader.get(f"/images/{job['id']}/").content
    for by in (browser(hospital.users["outsider"]), browser(hospital.users["non-member"]), Client()):
        assert by.get(job["url"]).status_code == 404
        assert by.get(f"/images/{job['id']}/").status_code == 404
    Image.objects.filter(pk=image.pk).update(status=Status.READY)
    read(image)
    verdict = {"verdict": "NORMAL"}
    page = f"/images/{job['id']}/"
    assert b"What do you see?" in reader.get(page).content
    assert b"What do you see?" not in uploader.get(page).content
    reviewed = reader.put(f"{job['url']}reviews/", verdict, content_type="application/json")
    assert reviewed.json()["reviewer"] == "reader"
    answer = uploader.put(f"{job['url']}reviews/", verdict, content_type="application/json")
    problem(answer, 403, "not_a_reviewer")


def test_a_study_and_predict_go_to_departments_too(hospital: Hospital, zipped: bytes) -> None:
    by = browser(hospital.users["manager"])
    study = by.upload_study({"a.jpg": JPEG, "b.zip": zipped}, department="radiology", patient="P-2").json()
    assert study["department"] == "radiology"
    kept = Study.objects.get(pk=study["id"])
    assert kept.department == kept.patient.department == hospital.department
    assert {image.department for image in kept.images.all()} == {hospital.department}
    archives.unpack()
    assert kept.images.count() == 4
    assert {image.uploaded_by for image in kept.images.all()} == {hospital.users["manager"]}
    mine = by.upload_study({"a.jpg": JPEG}, department="").json()
    assert mine["department"] is None
    assert Study.objects.get(pk=mine["id"]).owner == hospital.users["manager"]


def test_a_department_with_a_null_character_is_looked_for_nowhere(client, statements):
    upload = {"files": [SimpleUploadedFile("a.jpg", JPEG)]}
    for url, form in (("/upload/", upload), ("/patients/new/", {"identifier": "P"})):
        assert client.post(url, {**form, "department": "a\0b"}).status_code == 404
    assert not any("FROM departments_department" in one.replace('"', "").replace("`", "") for one in statements)


def test_one_cannot_send_to_a_department_of_others(hospital: Hospital, problem: Any) -> None:
    before = Image.objects.count()
    problem(browser(hospital.users["reader"]).upload(department="radiology"), 403, "not_an_uploader")
    problem(browser(hospital.users["non-member"]).upload(department="radiology"), 404, "department_not_found")
    problem(Client().upload(department="radiology"), 404, "department_not_found")
    problem(Client().upload_study({"a.jpg": JPEG}, department="nowhere"), 404, "department_not_found")
    assert Image.objects.count() == before


def test_a_department_has_one_row_for_each_patient(hospital: Hospital) -> None:
    for name in ("uploader", "manager", "manager"):
        browser(hospital.users[name]).upload(patient="P-9")
    browser(hospital.users["outsider"]).upload(patient="P-9")
    browser(hospital.users["person"]).upload(patient="P-9")
    kept = Patient.objects.filter(identifier="P-9")
    assert sorted(str(patient.department) for patient in kept) == ["None", "Radiology", "Surgery"]


def test_home_lists_what_one_has_sent_to_a_department_and_offers_where_to_send(hospital: Hospital) -> None:
    by = browser(hospital.users["uploader"])
    by.upload(filename="to-all.jpg")
    by.upload(filename="to-me.jpg", department="")
    page = by.get("/").content.decode()
    assert "to-all.jpg" in page
    assert "to-me.jpg" in page
    assert '<option value="radiology" selected>Radiology</option>' in page
    reader = browser(hospital.users["reader"]).get("/").content.decode()
    assert "to-all.jpg" not in reader, "the reader has not sent it"
    assert 'name="department"' not in reader


def test_staff_see_the_admin_site_and_nothing_else(hospital: Hospital, make_image: Callable[..., Image]) -> None:
    staff, administrator = browser(hospital.users["staff"]), browser(hospital.users["administrator"])
    for image in hospital.images.values():
        assert staff.get(f"/api/v1/images/{image.pk}/").status_code == 404
        assert administrator.get(f"/api/v1/images/{image.pk}/").status_code == 200
    for path in ("/internal/staff", "/api/v1/reviews/export.zip"):
        assert staff.get(path).status_code == 403
        assert administrator.get(path).status_code in (200, 204)
    assert staff.get("/admin/").status_code == 200
    assert administrator.get("/admin/").status_code == 302


def test_administrators_make_departments_in_the_admin_site(hospital: Hospital) -> None:
    by = browser(hospital.users["superuser"])
    form = {
        "name": "Intensive care", "slug": "icu",
        "memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "0",
        "memberships-0-user": str(hospital.users["non-member"].pk), "memberships-0-role": "uploader",
    }  # fmt: skip
    answer = by.post("/admin/departments/department/add/", form)
    assert answer.status_code == 302, answer.content
    made = Department.objects.get(slug="icu")
    assert made.name == "Intensive care"
    assert permissions.may_upload_to(hospital.identity("non-member"), made)


# --- in the database ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owners", [(), ("owner", "guest"), ("owner", "department"), ("guest", "department")])
@pytest.mark.parametrize("model", [Patient, Study])
def test_the_database_wants_exactly_one_owner(hospital: Hospital, model: Any, owners: tuple[str, ...]) -> None:
    given = {"owner": hospital.users["person"], "guest": uuid4(), "department": hospital.department}
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.create(**{name: given[name] for name in owners})


def test_a_reader_cannot_review_what_was_not_read(hospital: Hospital) -> None:
    with pytest.raises(Refused) as refusal:
        reviews.review(hospital.images["department"], hospital.identity("reader"), "NORMAL")
    assert refusal.value.code == "not_read_yet"


@pytest.mark.maintenance
@pytest.mark.django_db(transaction=True)
def test_the_upgrade_keeps_every_row_and_what_staff_could_do() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate([("departments", None), ("studies", "0006_operating_point")])
    try:
        old = executor.loader.project_state(
            [("studies", "0006_operating_point"), ("auth", executor.loader.graph.leaf_nodes("auth")[0][1])]
        ).apps
        users = old.get_model("auth", "User").objects
        boss = users.create(username="boss", is_staff=True)
        root = users.create(username="root", is_staff=True, is_superuser=True)
        ada = users.create(username="ada")
        guest = uuid4()
        studies = old.get_model("studies", "Study").objects
        owners: dict[str, dict[str, Any]] = {
            "a": {"owner_id": ada.pk}, "g": {"guest": guest}, "n": {}, "b": {"owner_id": ada.pk, "guest": guest}
        }  # fmt: skip
        rows = [studies.create(name=name, **owner) for name, owner in owners.items()]
    finally:
        call_command("migrate", verbosity=0)
    kept = {study.name: study for study in Study.objects.all()}
    assert {name: study.pk for name, study in kept.items()} == {row.name: row.pk for row in rows}
    assert kept["a"].owner_id == kept["b"].owner_id == ada.pk
    assert kept["g"].guest == guest
    assert kept["n"].guest not in (None, guest)
    assert User.objects.get(pk=boss.pk).has_perm(permissions.ADMINISTER)
    assert User.objects.get(pk=root.pk).user_permissions.count() == 0
    assert not User.objects.get(pk=ada.pk).has_perm(permissions.ADMINISTER)
