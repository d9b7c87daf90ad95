"""Django's admin: links that work, newest rows first, and no deletion that bypasses the services."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from tests.webapp.rows import administer, make_reading
from webapp.audit.models import Action, Entry
from webapp.notifications.models import Webhook
from webapp.studies.models import Image

pytestmark = pytest.mark.django_db


@pytest.fixture
def chief(client: Any, settings: Any) -> Any:
    client.force_login(User.objects.create_superuser("chief"), backend=settings.AUTHENTICATION_BACKENDS[-1])
    return client


def test_an_image_links_to_its_page_and_not_to_its_files(chief: Any, make_image: Callable[..., Image]) -> None:
    image = make_image(filename="film-7.jpg")
    reading = make_reading(image, input="inputs/x.png")
    for path in (f"image/{image.pk}", f"reading/{reading.pk}"):
        page = chief.get(f"/admin/studies/{path}/change/").content.decode()
        assert f'<a href="{image.get_absolute_url()}">film-7.jpg</a>' in page
        assert str(image.file.name) not in page
        assert "inputs/x.png" not in page


def test_lists_show_the_newest_first_and_can_be_searched_by_id(
    chief: Any, make_image: Callable[..., Image], make_department: Callable[..., Any]
) -> None:
    old, new = make_image(filename="old.jpg", department=make_department("icu")), make_image(filename="new.jpg")
    Image.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=1))
    page = chief.get("/admin/studies/image/").content.decode()
    assert page.index("new.jpg") < page.index("old.jpg")
    assert "Icu" in page
    make_reading(old)
    make_reading(new)
    found = chief.get(f"/admin/studies/reading/?q={old.pk}").content.decode()
    assert "old.jpg" in found
    assert "new.jpg" not in found


def test_departments_cannot_be_deleted_in_the_admin(chief: Any, make_department: Callable[..., Any]) -> None:
    department = make_department()
    assert chief.post(f"/admin/departments/department/{department.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_webhook_is_deleted_through_its_service(chief: Any) -> None:
    webhook = Webhook.objects.create(user=User.objects.get(username="chief"), url="https://example.org/")
    chief.post(f"/admin/notifications/webhook/{webhook.pk}/delete/", {"post": "yes"})
    assert not Webhook.objects.exists()
    assert Entry.objects.filter(action=Action.DELETE, object_id=str(webhook.pk)).count() == 1, "recorded once"


def test_the_last_administrator_cannot_be_removed(chief: Any) -> None:
    user = User.objects.get(username="chief")
    url, group = f"/admin/auth/user/{user.pk}/", Group.objects.create(name="chiefs")
    group.permissions.add(administer())
    form = {"username": "chief", "date_joined_0": "2026-01-01", "date_joined_1": "10:00", "is_staff": "on"}

    def save(**changes: Any) -> int:
        return int(chief.post(f"{url}change/", {**form, **changes}).status_code)

    refused = [
        chief.post(f"{url}delete/", {"post": "yes"}).status_code,
        chief.post(
            "/admin/auth/user/", {"action": "delete_selected", "_selected_action": user.pk, "post": "yes"}
        ).status_code,
        save(is_active="on"),
        save(is_superuser="on"),
    ]
    assert refused == [409] * 4
    user.refresh_from_db()
    assert (user.is_active, user.is_superuser) == (True, True)

    # An administrator who has the permission from a group is protected too, also from changes of the group.
    User.objects.create_superuser("other")
    assert save(is_active="on", is_superuser="on", groups=group.pk) == 302
    User.objects.filter(username="other").update(is_superuser=False, is_staff=True)
    other = User.objects.get(username="other")
    other.user_permissions.add(*Permission.objects.filter(content_type__app_label="auth"))
    User.objects.filter(pk=user.pk).update(is_superuser=False)
    chief.force_login(other, backend="allauth.account.auth_backends.AuthenticationBackend")
    groups = f"/admin/auth/group/{group.pk}/"
    assert save(is_active="on") == 409
    assert chief.post(f"{groups}change/", {"name": "chiefs"}).status_code == 409
    assert chief.post(f"{groups}delete/", {"post": "yes"}).status_code == 409
    answer = chief.post(
        "/admin/auth/group/", {"action": "delete_selected", "_selected_action": group.pk, "post": "yes"}
    )
    assert answer.status_code == 409
    assert "administrator who can sign in" in answer.content.decode()
    assert User.objects.get(pk=user.pk).has_perm("departments.administer")
    other.user_permissions.add(administer())
    assert chief.post(f"{groups}delete/", {"post": "yes"}).status_code == 302
    assert chief.post(f"{url}delete/", {"post": "yes"}).status_code == 302


def test_a_departments_last_manager_is_not_deleted(chief: Any, make_department: Callable[..., Any]) -> None:
    nora = User.objects.create_user("nora")
    department = make_department(manager=nora)
    for answer in (
        chief.post(f"/admin/auth/user/{nora.pk}/delete/", {"post": "yes"}),
        chief.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": nora.pk, "post": "yes"}),
    ):
        assert answer.status_code == 409
        assert "Please make someone else a manager first." in answer.content.decode()
    department.memberships.create(user=User.objects.get(username="chief"), role="manager")
    chief.post(f"/admin/auth/user/{nora.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(username="nora").exists()
    actions = Entry.objects.filter(action__in=[Action.DELETE, Action.ROLE_CHANGE]).values_list("action", flat=True)
    assert sorted(actions) == sorted([Action.DELETE, Action.ROLE_CHANGE]), "each recorded once"


def test_the_admin_looks_like_the_other_pages(chief: Any) -> None:
    page = chief.get("/admin/").content.decode()
    assert "dashboard/admin.css" in page
    assert "Django administration" not in page
