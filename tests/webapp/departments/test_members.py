"""Members and service accounts of departments, and creating and deleting departments."""

from functools import partial

import pytest
from django.contrib.auth.models import User

from tests.webapp.clients import JPEG, Client
from tests.webapp.departments.conftest import ALPHA, API, member, send, signed_in
from tests.webapp.hospital import CHOSEN
from tests.webapp.rows import BUNDLE
from webapp.accounts.identity import Identity
from webapp.accounts.models import Token
from webapp.departments import calibrations, members
from webapp.departments.models import Calibration, Department, Membership
from webapp.refusals import Refused
from webapp.studies.models import Image, Patient, Study

pytestmark = pytest.mark.django_db

# --- members --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["colleague", "Colleague@Example.org"])
def test_a_manager_adds_changes_and_removes_members(manager, department, people, who):
    created = send(manager, "post", f"{ALPHA}members/", who=who, role="uploader")
    assert created.status_code == 201
    assert created.json() == {
        "id": member(department, "colleague").pk,
        "username": "colleague",
        "name": "",
        "role": "uploader",
    }
    url = f"{ALPHA}members/{created.json()['id']}/"
    assert send(manager, "patch", url, role="reader").json()["role"] == "reader"
    assert member(department, "colleague").role == "reader"
    assert [listed["username"] for listed in manager.get(f"{ALPHA}members/").json()] == [
        "colleague", "manager", "reader", "uploader",
    ]  # fmt: skip
    assert manager.delete(url).status_code == 204
    assert not department.memberships.filter(user=people["colleague"]).exists()


def test_some_users_cannot_be_added(manager, department, people, problem):
    path = f"{ALPHA}members/"
    problem(send(manager, "post", path, who="nobody", role="reader"), 404, "user_not_found")
    problem(send(manager, "post", path, who="reader", role="reader"), 409, "is_member")
    User.objects.filter(username="colleague").update(is_active=False)
    problem(send(manager, "post", path, who="colleague", role="reader"), 404, "user_not_found")
    account = members.make_service_account(Identity(), department, "scanner", "uploader")
    other = Department.objects.create(name="Beta", slug="beta")
    other.memberships.create(user=people["manager"], role="manager")
    answer = send(manager, "post", f"{API}beta/members/", who=account.user.username, role="reader")
    problem(answer, 403, "is_service_account")
    problem(send(manager, "post", path, who="colleague", role="boss"), 400, "invalid_request")


def test_the_last_manager_cannot_be_removed(manager, department, problem):
    url = f"{ALPHA}members/{member(department, 'manager').pk}/"
    problem(manager.delete(url), 409, "last_manager")
    problem(send(manager, "patch", url, role="reader"), 409, "last_manager")
    page = f"/departments/alpha/members/{member(department, 'manager').pk}/remove/"
    for page_url, form in ((page, {}), (page.removesuffix("remove/"), {"role": "reader"})):
        assert members.LAST_MANAGER in manager.post(page_url, form, follow=True).content.decode()
    assert member(department, "manager").role == "manager"
    send(manager, "patch", f"{ALPHA}members/{member(department, 'reader').pk}/", role="manager")
    assert manager.delete(url).status_code == 204


def test_a_user_who_has_just_become_the_last_manager_cannot_be_removed(department):
    """Two managers act at once, and one has read a membership that the other then changes."""
    stale = member(department, "reader")
    members.change_role(Identity(), member(department, "reader"), "manager")
    members.remove(Identity(), member(department, "manager"))
    for act in (members.remove, partial(members.change_role, role="uploader")):
        with pytest.raises(Refused, match="needs a manager"):
            act(Identity(), stale)
    assert member(department, "reader").role == "manager"


def test_members_can_leave_and_cannot_remove_others(people, department, problem):
    client = signed_in(people["reader"])
    problem(client.delete(f"{ALPHA}members/{member(department, 'uploader').pk}/"), 403, "not_allowed")
    assert client.delete(f"{ALPHA}members/{member(department, 'reader').pk}/").status_code == 204
    problem(client.get(ALPHA), 404, "not_found")


def test_joining_by_invitation_keeps_an_existing_role(department, people):
    assert members.join(Identity(), people["colleague"], department, "reader").role == "reader"
    assert members.join(Identity(), people["manager"], department, "reader").role == "manager"


# --- service accounts -----------------------------------------------------------------------------------------------


def test_a_scanner_can_only_upload_to_its_own_department(manager, department, people, problem, make_department):
    account = send(manager, "post", f"{ALPHA}service-accounts/", name="CT 2").json()
    assert (account["username"], account["name"], account["role"]) == ("alpha.ct-2", "CT 2", "uploader")
    tokens_url = f"{ALPHA}service-accounts/{account['id']}/tokens/"
    key = send(manager, "post", tokens_url, name="tube").json()["token"]
    [listed] = manager.get(tokens_url).json()
    assert listed["name"] == "tube"
    assert key not in str(listed)
    scanner = Client(headers={"Authorization": f"Token {key}"})
    for fields in ({}, {"department": ""}, {"department": "alpha"}):
        job = scanner.upload(**fields)
        assert job.status_code == 202
        assert job.json()["department"] == "alpha"
    make_department("beta")
    problem(scanner.upload(department="beta"), 404, "department_not_found")
    assert scanner.delete(f"{tokens_url}{listed['id']}/").status_code == 403
    assert manager.delete(f"{tokens_url}{listed['id']}/").status_code == 204
    problem(scanner.upload(), 401, "authentication_failed")
    assert Image.objects.filter(department=department, uploaded_by__username="alpha.ct-2").count() == 3
    assert manager.delete(f"{ALPHA}service-accounts/{account['id']}/").status_code == 204
    assert Image.objects.filter(department=department, uploaded_by=None).count() == 3, "its uploads stay"


def test_a_service_account_that_is_a_reader_cannot_upload_or_review(department, make_image, read, problem):
    account = members.make_service_account(Identity(), department, "report", "reader")
    client = Client()
    image = make_image(department=department)
    read(image)
    client.defaults["HTTP_AUTHORIZATION"] = f"Token {issue_token(account)}"
    assert client.get(f"/api/v1/images/{image.pk}/").json()["label"] == "PNEUMONIA"
    problem(client.upload(), 403, "not_an_uploader")
    problem(send(client, "put", f"/api/v1/images/{image.pk}/reviews/", verdict="NORMAL"), 403, "not_a_reviewer")


def issue_token(account):
    from webapp.accounts import tokens

    return tokens.issue(account.user, "x")


def test_a_service_account_cannot_sign_in(department, client):
    account = members.make_service_account(Identity(), department, "scanner", "uploader")
    assert not account.user.has_usable_password()
    account.user.set_password("a password that an administrator has set")
    account.user.save()
    with pytest.raises(Refused, match="cannot sign in"):
        client.force_login(account.user)
    answer = client.post(
        "/api/v1/auth/token/",
        {"username": account.user.username, "password": "a password that an administrator has set"},
    )
    assert answer.status_code == 403
    assert client.get("/departments/alpha/").status_code == 302


def test_invalid_service_accounts_are_refused(manager, department, problem):
    path = f"{ALPHA}service-accounts/"
    problem(send(manager, "post", path, name="CT", role="manager"), 400, "invalid_request")
    problem(send(manager, "post", path, name="!!!"), 400, "invalid_name")
    assert send(manager, "post", path, name="CT").status_code == 201
    problem(send(manager, "post", path, name="ct"), 409, "name_taken")
    assert send(manager, "post", path, name="स्क्यानर").status_code == 201
    account = department.memberships.get(user__username="alpha.ct")
    problem(send(manager, "patch", f"{ALPHA}members/{account.pk}/", role="manager"), 404, "not_found")
    problem(manager.delete(f"{ALPHA}members/{account.pk}/"), 404, "not_found")


# --- creating and deleting ------------------------------------------------------------------------------------------


def test_administrators_create_and_delete_departments(staff_client, manager, department, make_image, read, problem):
    problem(send(manager, "post", API, name="Gamma", slug="gamma"), 403, "not_allowed")
    assert send(staff_client, "post", API, name="Gamma", slug="gamma").status_code == 201
    problem(send(staff_client, "post", API, name="Gamma", slug="gamma"), 409, "name_taken")
    assert [one["slug"] for one in staff_client.get(API).json()["results"]] == ["alpha", "gamma"]
    assert [(one["slug"], one["role"]) for one in manager.get(API).json()["results"]] == [("alpha", "manager")]
    job = manager.upload_study({"a.jpg": JPEG}, patient="P-1").json()
    read(*Image.objects.filter(study=job["id"]))
    image = make_image(department=department)
    key = issue_token(members.make_service_account(Identity(), department, "scanner", "uploader"))
    calibrations.apply(Identity(), department, BUNDLE, **CHOSEN)
    files = [Image.objects.get(pk=image.pk).file]
    problem(manager.delete(ALPHA), 403, "not_allowed")
    assert staff_client.delete(ALPHA).status_code == 204
    for model in DEPARTMENT_LOOKUPS:
        assert not model.objects.exclude(pk__in=[]).filter(**{DEPARTMENT_LOOKUPS[model]: "alpha"}).exists(), model
    assert not files[0].storage.exists(files[0].name)
    assert Client(headers={"Authorization": f"Token {key}"}).get(API).status_code == 401
    assert User.objects.filter(username="manager").exists(), "the accounts of people stay"


DEPARTMENT_LOOKUPS = {Token: "user__username__startswith"} | dict.fromkeys(
    (Image, Study, Patient, Membership, Calibration), "department__slug"
)


def test_the_page_of_a_deletion_says_what_is_deleted(department, make_image):
    root = signed_in(User.objects.create_superuser("root"))
    make_image(department=department)
    members.make_service_account(Identity(), department, "scanner", "uploader")
    page = root.get("/departments/alpha/delete/").content.decode()
    assert "images: 1" in page
    assert "service accounts: 1" in page
    assert root.post("/departments/alpha/delete/").status_code == 302
    assert not Department.objects.exists()


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_manager_manages_members_and_service_accounts_on_pages(manager, department, people):
    assert '<a href="/departments/alpha/">Alpha</a>' in manager.get("/departments/").content.decode()
    page = manager.get("/departments/alpha/").content.decode()
    assert "Add someone who has an account" in page
    assert manager.post("/departments/alpha/members/", {"who": "colleague", "role": "reader"}).status_code == 302
    refused = manager.post("/departments/alpha/members/", {"who": "nobody", "role": "reader"})
    assert "There is no user with this name" in refused.content.decode()
    pk = member(department, "colleague").pk
    assert manager.post(f"/departments/alpha/members/{pk}/", {"role": "uploader"}).status_code == 302
    assert member(department, "colleague").role == "uploader"
    assert "Remove colleague from Alpha?" in manager.get(f"/departments/alpha/members/{pk}/remove/").content.decode()
    assert manager.post(f"/departments/alpha/members/{pk}/remove/").status_code == 302
    answer = manager.post("/departments/alpha/service-accounts/", {"name": "CT 2", "role": "uploader"})
    account = answer["Location"]
    issued_page = manager.post(account, {"name": "tube"}).content.decode()
    key = Token.objects.get()
    assert "it is not shown again" in issued_page
    again = manager.get(account).content.decode()
    assert "it is not shown again" not in again
    assert "tube" in again
    assert manager.post(f"{account}tokens/{key.pk}/revoke/").status_code == 302
    assert not Token.objects.exists()
    assert manager.post(f"{account}delete/").status_code == 302
    assert not department.memberships.filter(service=True).exists()


def test_a_reader_sees_the_members_and_can_change_nothing(people, department):
    page = signed_in(people["reader"]).get("/departments/alpha/").content.decode()
    assert "uploader" in page
    assert "Add someone" not in page
    assert "Service accounts" not in page
    assert "Leave" in page
    nobody = signed_in(people["colleague"]).get("/departments/").content.decode()
    assert "You are a member of no department." in nobody


def test_an_invited_user_becomes_a_member_with_the_given_role(manager, department, people, problem):
    invitation = send(manager, "post", f"{ALPHA}invitations/", email="colleague@example.org", role="uploader").json()
    [listed] = manager.get(f"{ALPHA}invitations/").json()
    assert (listed["email"], listed["role"]) == ("colleague@example.org", "uploader")
    assert "link" not in listed
    invited = signed_in(people["colleague"])
    assert "Alpha, as uploader" in invited.get(invitation["link"]).content.decode()
    assert invited.post(invitation["link"]).status_code == 302
    assert member(department, "colleague").role == "uploader"
    assert manager.get(f"{ALPHA}invitations/").json() == []
    page = manager.post("/departments/alpha/invitations/", {"role": "reader"}).content.decode()
    assert "it is not shown again" in page
    [pending] = manager.get(f"{ALPHA}invitations/").json()
    assert manager.delete(f"{ALPHA}invitations/{pending['id']}/").status_code == 204
    problem(manager.delete(f"{ALPHA}invitations/{pending['id']}/"), 404, "not_found")
