"""Everybody who could ask the service for something, and something of each kind that they could ask for."""

import re
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from tests.webapp import walk
from tests.webapp.conftest import BUNDLE, JPEG, MODEL, PASSWORD, claim, make_reading, result
from webapp.accounts import identity as identities
from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.departments import members
from webapp.notifications.models import Webhook
from webapp.ops.models import Worker
from webapp.studies.api import predict
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services import reading

ROLES = (
    "guest", "other guest", "person", "reader", "uploader", "manager", "other manager", "service account",
    "administrator",
)  # fmt: skip


class Things:
    """What somebody owns: an image that was read, one that waits, the study and the patient of both."""

    def __init__(self, make_image: Callable[..., Image], name: str, uploaded_by: User | None = None, **owner: Any):
        self.patient = Patient.objects.create(**owner, identifier=f"PAT-{name}")
        self.study = Study.objects.create(**owner, name=f"study-{name}", patient=self.patient, uploaded_by=uploaded_by)
        sent = {"study": self.study, "patient": self.patient, "uploaded_by": uploaded_by, **owner}
        self.waiting = make_image(Status.READY, filename=f"waiting-{name}.jpg", **sent)
        self.image = make_image(filename=f"read-{name}.jpg", width=160, height=120, **sent)
        Image.objects.filter(pk=self.image.pk).update(status=Status.READY, preview=self.image.file.name)
        made = default_storage.save(f"inputs/{self.image.pk}.png", ContentFile(JPEG))
        make_reading(self.image, input=made)
        token, _ = claim(self.image)
        found = result(self.image.pk, heatmap=bytes(range(196)))
        assert reading.succeed(token, [found], MODEL, seconds=0.1) == 1


class House:
    """Everybody who asks, and what they ask for."""

    def __init__(self, make_department: Callable[..., Any], make_image: Callable[..., Image]) -> None:
        names = ("person", "reader", "uploader", "manager", "other manager", "administrator", "colleague")
        self.users = {name: User.objects.create_user(name, f"{name[:5]}@example.org", PASSWORD) for name in names}
        administer = Permission.objects.get(content_type__app_label="departments", codename="administer")
        self.users["administrator"].user_permissions.add(administer)
        roles = {name: self.users[name] for name in ("reader", "uploader", "manager")}
        self.department = make_department("alpha", **roles)
        self.other = make_department("beta", manager=self.users["other manager"])
        self.account = members.make_service_account(Identity(), self.department, "scanner", "uploader")
        self.service_key = tokens.issue(self.account.user, "scanner")
        self.guest = uuid4()
        of_guest = Things(make_image, "guest", guest=self.guest)
        of_department = Things(make_image, "alpha", self.users["uploader"], department=self.department)
        self.things = dict.fromkeys(ROLES, of_department)
        self.things |= {"guest": of_guest, "other guest": of_guest}
        self.things["person"] = Things(make_image, "person", owner=self.users["person"])
        users = {**self.users, "service account": self.account.user}
        self.webhooks = {
            role: Webhook.objects.create(user=user, url="https://example.org/") for role, user in users.items()
        }
        soon = timezone.now() + timedelta(hours=1)  # they are there however long the tests take
        for role in ("ingest", "bulk", "infer"):
            Worker.objects.create(name=role, role=role, model=BUNDLE, ready=True, seen_at=soon)

    def actor(self, role: str, other: Callable[[walk.Route], dict[str, Any]] = lambda route: {}) -> walk.Actor:
        """Somebody who asks for what is theirs, or for other things."""
        client = Client()
        if role in ("guest", "other guest"):
            guest = self.guest if role == "guest" else uuid4()
            client.cookies[settings.GUEST_COOKIE] = identities.make_token(guest)
        elif role == "service account":
            client = Client(headers={"Authorization": f"Token {self.service_key}"})
        else:
            client.force_login(self.users[role], backend=settings.AUTHENTICATION_BACKENDS[-1])
        return walk.Actor(client, lambda route: {**self.values(role, route), **other(route)})

    def values(self, role: str, route: walk.Route) -> dict[str, Any]:
        """What stands for the names in an address."""
        things = self.things[role]
        kind = kind_of(route)
        image = things.waiting if "cancel" in route.path else things.image
        webhook = self.webhooks.get(role) or self.webhooks["person"]
        found: dict[str, Any] = {
            "images": {"pk": image.pk},
            "studies": {"pk": things.study.pk},
            "patients": {"pk": things.patient.pk},
            "webhooks": {"pk": webhook.pk},
            "service-accounts": {"pk": self.account.pk, "token": self.account.user.api_tokens.get().pk},
            "members": {"pk": self.department.memberships.get(user=self.users["reader"]).pk},
        }.get(kind, {})
        # Of links for a new password there is none that would be valid.
        found = {"uidb64": "x", "token": "x", **found}
        return {"slug": self.department.slug, "signed": predict._signer.sign(str(things.image.pk)), **found}


def kind_of(route: walk.Route) -> str:
    """What the key in an address is of: the part before it, such as "images"."""
    named = re.search(r"/([\w-]+)/\{pk\}", route.path)
    return named[1] if named else ""


def jpeg() -> SimpleUploadedFile:
    return SimpleUploadedFile("chest.jpg", JPEG)


#: What is sent to each address. Where nothing is named, nothing is sent.
BODIES: dict[str, Callable[[], dict[str, Any]]] = {
    "POST /api/v1/images/": lambda: {"file": jpeg()},
    "POST /api/v1/studies/": lambda: {"files": [jpeg()]},
    "POST /api/v1/studies/{pk}/images/": lambda: {"files": [jpeg()]},
    "POST /upload/": lambda: {"files": [jpeg()]},
    "POST /predict": lambda: {"image": "data:image/jpeg;base64," + b64encode(JPEG).decode()},
    "POST /api/v1/auth/token/": lambda: {"username": "person", "password": PASSWORD},
    "POST /api/v1/webhooks/": lambda: {"url": "https://example.org/hook"},
    "PUT /api/v1/images/{pk}/reviews/": lambda: {"verdict": "NORMAL"},
    "POST /images/{pk}/review/": lambda: {"verdict": "NORMAL"},
    "POST /api/v1/departments/": lambda: {"name": "Gamma", "slug": "gamma"},
    "POST /departments/": lambda: {"name": "Gamma", "slug": "gamma"},
    "PATCH /api/v1/departments/{slug}/": lambda: {"share": 2},
    "POST /departments/{slug}/settings/": lambda: {"name": "Alpha", "share": 2},
    "POST /api/v1/departments/{slug}/members/": lambda: {"who": "colleague", "role": "reader"},
    "POST /departments/{slug}/members/": lambda: {"who": "colleague", "role": "reader"},
    "PATCH /api/v1/departments/{slug}/members/{pk}/": lambda: {"role": "uploader"},
    "POST /departments/{slug}/members/{pk}/": lambda: {"role": "uploader"},
    "POST /api/v1/departments/{slug}/service-accounts/": lambda: {"name": "script"},
    "POST /departments/{slug}/service-accounts/": lambda: {"name": "script", "role": "reader"},
    "POST /api/v1/departments/{slug}/service-accounts/{pk}/tokens/": lambda: {"name": "one more"},
    "POST /departments/{slug}/service-accounts/{pk}/": lambda: {"name": "one more"},
}


def ask(actor: walk.Actor, route: walk.Route) -> Any:
    make = BODIES.get(str(route))
    return actor.ask(route, make() if make else None if route.method in ("GET", "DELETE") else {})
