"""When a membership, an account or an API token ends, its access ends everywhere at once."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.asgi import browse
from tests.webapp import walk
from tests.webapp.clients import IMAGES, JPEG, Client, token_headers
from tests.webapp.hospital import Hospital, ask, kind_of
from tests.webapp.rows import administer
from webapp.accounts import invitations
from webapp.accounts.identity import Identity
from webapp.departments import members
from webapp.departments.models import Department
from webapp.notifications import sending, services
from webapp.refusals import Refused
from webapp.resumable import services as resumable
from webapp.sharing import services as sharing
from webapp.sharing.models import Share
from webapp.studies.choices import Status
from webapp.studies.models import Image
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import ObsoleteError
from webapp.studies.services import person_deletion

#: Objects that belong to a person and not to a department. Whoever leaves the department keeps them.
OWN = ("webhooks", "deliveries", "saved-views", "uploads", "tokens")
ALPHAS = (b"read-alpha", b"failed-alpha", b"PAT-alpha", b"study-alpha", b"Alpha")


@pytest.fixture
def hospital(make_department: Callable[..., Any], make_image: Callable[..., Image]) -> Hospital:
    return Hospital(make_department, make_image)


def leave(department: Department, user: User) -> None:
    members.remove(Identity(), department.memberships.get(user=user))


def disable(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def add_another_manager() -> Department:
    department = Department.objects.get(slug="alpha")
    department.memberships.create(user=User.objects.get(username="colleague"), role="manager")
    return department


def remove_from_alpha(user: User) -> None:
    leave(add_another_manager(), user)


def delete_account(user: User) -> None:
    add_another_manager()
    person_deletion.delete_person(user, Identity(user=user))


def expire_token(user: User) -> None:
    user.api_tokens.update(expires_at=timezone.now() - timedelta(seconds=1))


ENDINGS = [
    pytest.param(remove_from_alpha, "session", id="a removed member"),
    pytest.param(disable, "session", id="a disabled account"),
    pytest.param(disable, "token", id="a token of a disabled account"),
    pytest.param(delete_account, "session", id="an account that was deleted"),
    pytest.param(expire_token, "token", id="a token that has expired"),
]


@pytest.mark.django_db
@pytest.mark.long
@pytest.mark.parametrize(("end", "by"), ENDINGS)
def test_a_manager_whose_access_ended_gets_nothing_at_any_address(
    hospital: Hospital, end: Callable[[User], None], by: str
) -> None:
    user, actor = hospital.users["manager"], hospital.actor("manager")
    values = {route: hospital.values("manager", route) for route in walk.routes()}
    client = actor.client if by == "session" else Client(raise_request_exception=False, headers=token_headers(user))
    former_manager = walk.Actor(client, lambda route: values[route])
    assert client.get(IMAGES).status_code == 200
    end(user)
    wrong = []
    for route in walk.routes():
        answer = ask(former_manager, route)
        to_sign_in = answer.status_code == 302 and answer["Location"].startswith("/accounts/login/")
        of_alpha = {"pk", "slug", "signed"} & set(route.names) and not route.path.startswith(("/accounts/", "/shared/"))
        if of_alpha and kind_of(route) not in OWN and answer.status_code not in (401, 404) and not to_sign_in:
            wrong.append((str(route), answer.status_code))
        if route.path.startswith("/dicomweb/") and route.method == "GET" and answer.status_code == 200:
            assert answer.content == b"[]", route  # a search that finds nothing
        shown = [word for word in ALPHAS if word in walk.text_of(answer)]
        if shown and not route.path.startswith("/shared/"):
            wrong.append((str(route), shown))
    assert wrong == []


@pytest.mark.django_db
def test_a_request_repeated_with_its_key_shows_nothing_to_a_former_member(
    make_department: Callable[..., Department], user: User, user_client: Client
) -> None:
    department = make_department("icu", uploader=user)
    key = {"Idempotency-Key": "1"}
    image_id = user_client.upload(headers=key).json()["id"]
    assert user_client.upload(headers=key).json()["id"] == image_id
    leave(department, user)
    assert user_client.upload(headers=key).status_code == 404
    assert Image.objects.count() == 1


@pytest.mark.django_db
def test_a_resumable_upload_to_a_department_ends_with_the_membership(
    make_department: Callable[..., Department], user: User
) -> None:
    department = make_department("icu", uploader=user)
    upload = resumable.create(Identity(user=user), len(JPEG), "", {"filename": "a.jpg", "department": "icu"})
    leave(department, user)
    identity = Identity(user=User.objects.get(pk=user.pk))
    with pytest.raises(Refused) as refused:
        resumable.receive(identity, upload.pk, resumable.Part(0, BytesIO(JPEG), len(JPEG)))
    assert refused.value.code == "department_not_found"
    assert not Image.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("end", [disable, lambda user: user.user_permissions.clear()])
def test_flower_and_pages_behind_a_proxy_are_closed_at_once(
    client: Client, user: User, end: Callable[[User], None]
) -> None:
    user.user_permissions.add(administer())
    client.force_login(user)
    assert client.get("/internal/staff").status_code == 204
    end(user)
    assert client.get("/internal/staff").status_code in (401, 403)
    assert client.get("/flower/").status_code in (302, 403)


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["membership", "role", "account"])
def test_an_invitation_ends_with_the_right_to_invite(
    make_department: Callable[..., Department], user: User, end: str
) -> None:
    """Former managers cannot come back by their own invitation."""
    department = make_department("icu", manager=user)
    boss = department.memberships.create(user=User.objects.create_user("boss"), role="manager").user
    _, link = members.invite(Identity(user=user), department, "", "manager")
    membership = department.memberships.get(user=user)
    if end == "membership":
        members.remove(Identity(user=boss), membership)
    elif end == "role":
        members.change_role(Identity(user=boss), membership, "reader")
    else:
        disable(user)
    with pytest.raises(Refused) as refused:
        invitations.accept(link.rstrip("/").rsplit("/", 1)[-1], User.objects.create_user("eve"))
    assert refused.value.code == "invitation_not_valid"
    assert set(department.memberships.values_list("user__username", flat=True)) - {"ada"} == {"boss"}


@pytest.mark.django_db
def test_invitations_of_former_administrators_are_invalid(user: User) -> None:
    _, link = invitations.invite(Identity(user=user))
    with pytest.raises(Refused, match="may no longer invite"):
        invitations.accept(link.rstrip("/").rsplit("/", 1)[-1], User.objects.create_user("eve"))


@pytest.mark.django_db
@pytest.mark.parametrize("end", [remove_from_alpha, disable, delete_account])
def test_links_end_with_the_access_of_the_person_who_created_them(
    make_department: Callable[..., Department], make_study: Callable[..., Any], client: Client, end: Callable[..., None]
) -> None:
    leaver, colleague = User.objects.create_user("leaver"), User.objects.create_user("colleague")
    department = make_department("alpha", uploader=leaver, manager=User.objects.create_user("boss"))
    study = make_study(Status.FAILED, department=department)
    _, ending = sharing.share_by_link(Identity(user=leaver), study.images.get(), 7)
    _, staying = sharing.share_by_link(Identity(user=User.objects.get(username="boss")), study, 7)
    _, own = sharing.share_by_link(Identity(user=leaver), make_study(Status.FAILED, owner=leaver), 7)
    sharing.share_with(Identity(user=User.objects.get(username="boss")), study, colleague.username)
    assert client.get(f"/shared/{ending}/").status_code == 200
    end(leaver)
    assert client.get(f"/shared/{ending}/").status_code == 404
    assert client.get(f"/shared/{staying}/").status_code == 200
    assert client.get(f"/shared/{own}/").status_code == (200 if end is remove_from_alpha else 404)
    assert Share.objects.filter(user=colleague).exists(), "somebody else has shared it with the colleague"


@pytest.mark.django_db
@pytest.mark.parametrize("end", [disable, delete_account])
def test_an_administrators_links_end_with_the_account(
    make_department: Callable[..., Any], make_study: Callable[..., Any], client: Client, end: Callable[..., None]
) -> None:
    administrator = User.objects.create_user("boss")
    administrator.user_permissions.add(administer())
    User.objects.create_user("colleague")
    study = make_study(Status.FAILED, department=make_department("alpha"))
    _, link = sharing.share_by_link(Identity(user=administrator), study, 7)
    assert client.get(f"/shared/{link}/").status_code == 200
    end(administrator)
    assert client.get(f"/shared/{link}/").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize("end", [remove_from_alpha, disable])
def test_a_webhook_gets_nothing_more_even_if_an_event_is_sent_again(
    make_department: Callable[..., Department], make_study: Callable[..., Any], user: User, end: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    User.objects.create_user("colleague")
    study = make_study(Status.FAILED, department=make_department("alpha", uploader=user), uploaded_by=user)
    webhook, _ = services.create_webhook(Identity(user=user), "https://receiver.example/")
    payload = {"event": "study.finished", "created_at": "2026-01-01T00:00:00Z", "study": str(study.pk)}
    services.put_for_webhook(webhook, study.pk, payload, study.pk)
    monkeypatch.setattr(sending, "_post", lambda *args: 200)
    assert sending.send(Delivery.objects.get()) == "answered 200"
    end(user)
    with pytest.raises(ObsoleteError):
        sending.send(Delivery.objects.get())


@pytest.mark.django_db(transaction=True)
def test_a_waiting_request_is_refused_if_its_user_is_disabled_meanwhile(
    make_image: Callable[..., Image], read: Callable[..., None], user: User
) -> None:
    image = make_image(Status.READY, owner=user)
    headers = token_headers(user)

    async def scenario(client: Any) -> Any:
        waiter = asyncio.create_task(client.get(f"/api/v1/images/{image.pk}/", params={"wait": 20}))
        await asyncio.sleep(0.4)
        assert not waiter.done()
        await asyncio.to_thread(disable, user)
        await asyncio.to_thread(read, image)
        return await waiter

    assert browse(scenario, **headers).status_code == 401
