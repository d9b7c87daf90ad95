"""Who may do what: each predicate for each role and kind of owner, and its effect in the API and on pages."""

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
#: Actors whom each predicate allows, by the kind of owner of the image. "radiologist" is the person as a member of
#: Radiologists; "outsider" is a manager of another department; "staff" may only enter the admin site.
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
    """A user for each actor, and an image of each kind of owner."""

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
        # The order of ACTORS matters: "person" comes before "radiologist", which adds the same user to a group.
        actors = {actor for actor in ACTORS if predicate(hospital.identity(actor), hospital.images[kind])}
        assert actors == allowed, kind
        hospital.users["person"].groups.clear()


def test_lists_show_exactly_the_images_that_may_be_seen(hospital: Hospital) -> None:
    for actor in ACTORS:
        identity = hospital.identity(actor)
        listed = set(Image.objects.visible_to(identity))
        assert listed == {image for image in hospital.images.values() if permissions.may_see(identity, image)}, actor


def test_who_may_upload_to_a_department(hospital: Hospital) -> None:
    actors = {actor for actor in ACTORS if permissions.may_upload_to(hospital.identity(actor), hospital.department)}
    assert actors == {"uploader", "manager", "administrator", "superuser"}


def test_who_is_an_administrator(hospital: Hospital) -> None:
    actors = {actor for actor in ACTORS if permissions.is_administrator(hospital.identity(actor).user)}
    assert actors == {"administrator", "superuser"}
    User.objects.filter(username="superuser").update(is_active=False)
    assert not permissions.is_administrator(hospital.identity("superuser").user)


def test_where_an_upload_goes(hospital: Hospital, make_department: Callable[..., Department]) -> None:
    def destination(actor: str, slug: str | None) -> Department | str | None:
        try:
            return department_for(hospital.identity(actor), slug)
        except Refused as refusal:
            return refusal.code

    assert destination("uploader", None) == hospital.department, "the user's only department"
    assert destination("manager", None) == hospital.department
    for actor in ("nobody", "guest", "non-member", "reader", "administrator"):
        assert destination(actor, None) is None, actor
    for actor in ACTORS:
        assert destination(actor, "") is None, "an empty name always means a personal upload"
    assert destination("uploader", "radiology") == destination("administrator", "radiology") == hospital.department
    assert destination("reader", "radiology") == "not_an_uploader"
    for actor in ("nobody", "guest", "non-member", "outsider", "staff"):
        assert destination(actor, "radiology") == "department_not_found", actor
    assert destination("uploader", "surgery") == destination("administrator", "nowhere") == "department_not_found"
    make_department("icu", uploader=hospital.users["uploader"])
    assert destination("uploader", None) is None, "with several departments, none is guessed"
    assert destination("uploader", "icu") == Department.objects.get(slug="icu")


# --- through the API ------------------------------------------------------------------------------------------------


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_department_shares_the_images_of_its_uploaders(
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
    assert job["id"] in {row["id"] for row in reader.get("/api/v1/images/").json()["results"]}
    problem(reader.post(f"{job['url']}cancel/"), 403, "not_allowed")
    assert reader.post(f"/images/{job['id']}/cancel/").status_code == 403
    assert b'id="cancel"' not in reader.get(f"/images/{job['id']}/").content
    assert b'id="cancel"' in uploader.get(f"/images/{job['id']}/").content
    for other in (browser(hospital.users["outsider"]), browser(hospital.users["non-member"]), Client()):
        assert other.get(job["url"]).status_code == 404
        assert other.get(f"/images/{job['id']}/").status_code == 404
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


def test_a_study_can_be_uploaded_to_a_department_too(hospital: Hospital, zipped: bytes) -> None:
    manager = browser(hospital.users["manager"])
    study = manager.upload_study({"a.jpg": JPEG, "b.zip": zipped}, department="radiology", patient="P-2").json()
    assert study["department"] == "radiology"
    stored = Study.objects.get(pk=study["id"])
    assert stored.department == stored.patient.department == hospital.department
    assert {image.department for image in stored.images.all()} == {hospital.department}
    archives.unpack()
    assert stored.images.count() == 4
    assert {image.uploaded_by for image in stored.images.all()} == {hospital.users["manager"]}
    personal = manager.upload_study({"a.jpg": JPEG}, department="").json()
    assert personal["department"] is None
    assert Study.objects.get(pk=personal["id"]).owner == hospital.users["manager"]


def test_a_department_with_a_null_character_is_not_looked_up(client, statements):
    upload = {"files": [SimpleUploadedFile("a.jpg", JPEG)]}
    for url, form in (("/upload/", upload), ("/patients/new/", {"identifier": "P"})):
        assert client.post(url, {**form, "department": "a\0b"}).status_code == 404
    assert not any(
        "FROM departments_department" in statement.replace('"', "").replace("`", "") for statement in statements
    )


def test_only_its_uploaders_can_send_to_a_department(hospital: Hospital, problem: Any) -> None:
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
    patients = Patient.objects.filter(identifier="P-9")
    assert sorted(str(patient.department) for patient in patients) == ["None", "Radiology", "Surgery"]


def test_home_lists_ones_own_uploads_and_offers_departments_to_upload_to(hospital: Hospital) -> None:
    uploader = browser(hospital.users["uploader"])
    uploader.upload(filename="to-all.jpg")
    uploader.upload(filename="to-me.jpg", department="")
    page = uploader.get("/").content.decode()
    assert "to-all.jpg" in page
    assert "to-me.jpg" in page
    assert '<option value="radiology" selected>Radiology</option>' in page
    reader = browser(hospital.users["reader"]).get("/").content.decode()
    assert "to-all.jpg" not in reader, "the reader has not sent it"
    assert 'name="department"' not in reader


def test_staff_see_only_the_admin_site(hospital: Hospital, make_image: Callable[..., Image]) -> None:
    staff, administrator = browser(hospital.users["staff"]), browser(hospital.users["administrator"])
    for image in hospital.images.values():
        assert staff.get(f"/api/v1/images/{image.pk}/").status_code == 404
        assert administrator.get(f"/api/v1/images/{image.pk}/").status_code == 200
    for path in ("/internal/staff", "/api/v1/reviews/export.zip"):
        assert staff.get(path).status_code == 403
        assert administrator.get(path).status_code in (200, 204)
    assert staff.get("/admin/").status_code == 200
    assert administrator.get("/admin/").status_code == 302


def test_administrators_create_departments_in_the_admin_site(hospital: Hospital) -> None:
    superuser = browser(hospital.users["superuser"])
    form = {
        "name": "Intensive care", "slug": "icu",
        "memberships-TOTAL_FORMS": "1", "memberships-INITIAL_FORMS": "0",
        "memberships-0-user": str(hospital.users["non-member"].pk), "memberships-0-role": "uploader",
    }  # fmt: skip
    answer = superuser.post("/admin/departments/department/add/", form)
    assert answer.status_code == 302, answer.content
    department = Department.objects.get(slug="icu")
    assert department.name == "Intensive care"
    assert permissions.may_upload_to(hospital.identity("non-member"), department)


# --- in the database ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owners", [(), ("owner", "guest"), ("owner", "department"), ("guest", "department")])
@pytest.mark.parametrize("model", [Patient, Study])
def test_the_database_requires_exactly_one_owner(hospital: Hospital, model: Any, owners: tuple[str, ...]) -> None:
    values = {"owner": hospital.users["person"], "guest": uuid4(), "department": hospital.department}
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.create(**{name: values[name] for name in owners})


def test_a_reader_cannot_review_an_image_that_was_not_read(hospital: Hospital) -> None:
    with pytest.raises(Refused) as refusal:
        reviews.review(hospital.images["department"], hospital.identity("reader"), "NORMAL")
    assert refusal.value.code == "not_read_yet"


@pytest.mark.maintenance
@pytest.mark.django_db(transaction=True)
def test_the_upgrade_keeps_every_row_and_the_rights_of_staff() -> None:
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
    upgraded = {study.name: study for study in Study.objects.all()}
    assert {name: study.pk for name, study in upgraded.items()} == {row.name: row.pk for row in rows}
    assert upgraded["a"].owner_id == upgraded["b"].owner_id == ada.pk
    assert upgraded["g"].guest == guest
    assert upgraded["n"].guest not in (None, guest)
    assert User.objects.get(pk=boss.pk).has_perm(permissions.ADMINISTER)
    assert User.objects.get(pk=root.pk).user_permissions.count() == 0
    assert not User.objects.get(pk=ada.pk).has_perm(permissions.ADMINISTER)
