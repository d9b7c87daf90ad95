"""A hospital for tests of permissions: users with every role, and objects of every kind."""

import re
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pydicom.uid import ExplicitVRLittleEndian

from tests import dicomweb, modality
from tests.webapp import walk
from tests.webapp.clients import JPEG, PASSWORD
from tests.webapp.rows import BUNDLE, MODEL, administer, claim, make_reading, result
from webapp.accounts import identity as identities
from webapp.accounts import invitations, tokens
from webapp.accounts.identity import Identity
from webapp.departments import calibrations, members
from webapp.dicom.models import Destination, Instance, Peer, Retrieval, Rule, Search
from webapp.notifications.models import Event, News, Webhook
from webapp.ops.models import Worker
from webapp.resumable import services as resumable
from webapp.searches.models import SavedSearch
from webapp.sharing import services as sharing
from webapp.sharing.models import Share
from webapp.studies.api import predict
from webapp.studies.choices import Status
from webapp.studies.models import Archive, Image, Patient, Study
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.services import reading

#: Share of each answer for both kinds of image, as a calibration stores it.
ANSWERS = {kind: {"images": 60, "positive": 0.5, "unclear": 0.2, "negative": 0.3} for kind in ("pneumonia", "normal")}
#: Operating point that a department may have chosen from its own images.
CHOSEN: dict[str, Any] = {
    "slope": 1.0, "intercept": 0.0, "unclear_from": 0.2, "positive_from": 0.5, "answers": ANSWERS,
}  # fmt: skip
ROLES = (
    "guest", "other guest", "person", "reader", "uploader", "manager", "other manager", "service account",
    "administrator",
)  # fmt: skip
#: UIDs of the DICOM image.
UIDS = {"study": modality.STUDY, "series": f"{modality.STUDY}.1", "instance": f"{modality.STUDY}.1.1"}


class OwnedObjects:
    """The objects of one owner: a read, a waiting and a failed image, with their study, ZIP and patient."""

    def __init__(self, make_image: Callable[..., Image], name: str, uploaded_by: User | None = None, **owner: Any):
        self.patient = Patient.objects.create(**owner, identifier=f"PAT-{name}")
        self.other_patient = Patient.objects.create(**owner, identifier=f"OTHER-{name}")
        self.study = Study.objects.create(**owner, name=f"study-{name}", patient=self.patient, uploaded_by=uploaded_by)
        fields = {"study": self.study, "patient": self.patient, "uploaded_by": uploaded_by, **owner}
        self.waiting = make_image(Status.READY, filename=f"waiting-{name}.jpg", **fields)
        self.failed = make_image(
            Status.FAILED,
            filename=f"failed-{name}.jpg",
            error_code="worker_crashed",
            finished_at=timezone.now(),
            **fields,
        )
        self.archive = Archive.objects.create(
            study=self.study, uploaded_by=uploaded_by, filename=f"{name}.zip", total=1, state="failed",
            error_code="archive_corrupt", dispatched_at=timezone.now(), finished_at=timezone.now(),
        )  # fmt: skip
        self.image = make_image(filename=f"read-{name}.jpg", width=160, height=120, **fields)
        Image.objects.filter(pk=self.image.pk).update(status=Status.READY, preview=self.image.file.name)
        input_name = default_storage.save(f"inputs/{self.image.pk}.png", ContentFile(JPEG))
        make_reading(self.image, input=input_name)
        for_colleague = {"user": User.objects.get(username="colleague")}
        self.shares = {
            "images": Share.objects.create(image=self.image, **for_colleague).pk,
            "studies": Share.objects.create(study=self.study, **for_colleague).pk,
        }
        token, _ = claim(self.image)
        prediction = result(self.image.pk, heatmap=bytes(range(196)))
        assert reading.succeed(token, [prediction], MODEL, seconds=0.1) == 1
        self._make_dicom()

    def _make_dicom(self) -> None:
        """Give the read image a DICOM file. Its UIDs are the same for every owner."""
        name = default_storage.save(
            f"uploads/{self.image.pk}.dcm", ContentFile(dicomweb.file(modality.image(SOPInstanceUID=UIDS["instance"])))
        )
        Image.objects.filter(pk=self.image.pk).update(file=name, instance_uid=UIDS["instance"])
        uids = {f"{level}_uid": uid for level, uid in UIDS.items()}
        Instance.objects.create(image=self.image, transfer_syntax=ExplicitVRLittleEndian, **uids)


class Hospital:
    """Users with every role, and the objects that they own."""

    def __init__(self, make_department: Callable[..., Any], make_image: Callable[..., Image]) -> None:
        names = ("person", "reader", "uploader", "manager", "other manager", "administrator", "colleague")
        self.users = {name: User.objects.create_user(name, f"{name[:5]}@example.org", PASSWORD) for name in names}
        self.users["administrator"].user_permissions.add(administer())
        roles = {name: self.users[name] for name in ("reader", "uploader", "manager")}
        self.department = make_department("alpha", **roles)
        self.other = make_department("beta", manager=self.users["other manager"])
        self.account = members.make_service_account(Identity(), self.department, "scanner", "uploader")
        self.service_key = tokens.issue(self.account.user, "scanner")
        self.service_token = self.account.user.api_tokens.get().pk
        self.guest = uuid4()
        guest_objects = OwnedObjects(make_image, "guest", guest=self.guest)
        department_objects = OwnedObjects(make_image, "alpha", self.users["uploader"], department=self.department)
        self.owned = dict.fromkeys(ROLES, department_objects)
        self.owned |= {"guest": guest_objects, "other guest": guest_objects}
        self.owned["person"] = OwnedObjects(make_image, "person", owner=self.users["person"])
        users = {**self.users, "service account": self.account.user}
        self.webhooks = {
            role: Webhook.objects.create(user=user, url="https://example.org/") for role, user in users.items()
        }
        for name in ("reader", "uploader", "manager"):
            News.objects.create(person=self.users[name], event=Event.STUDY_FINISHED, study=department_objects.study)
        now = timezone.now()
        dead: dict[str, Any] = {"kind": "webhook", "payload": {"event": "webhook.test"}, "state": State.DEAD}
        self.deliveries = {
            role: Delivery.objects.create(
                **dead, key=role, destination=str(webhook.pk), next_attempt_at=now, expires_at=now
            )
            for role, webhook in self.webhooks.items()
        }
        self.destination = Destination.objects.create(
            department=self.department, name="PACS", host="pacs.example.org", called_ae="PACS", retrieves="get"
        )
        self.search = Search.objects.create(
            department=self.department, destination=self.destination, criteria={}, found=[{"study_uid": "1.2.3"}]
        )
        self.retrieval = Retrieval.objects.create(department=self.department, search=self.search, study_uid="1.2.4")
        self.peer = Peer.objects.create(department=self.department, ae_title="SCANNER", host="scanner", port=104)
        self.rule = Rule.objects.create(department=self.department)
        self.sent = Delivery.objects.create(
            kind="dicom", key="sent", payload={"event": "dicom.echo"}, state=State.DEAD,
            destination=str(self.destination.pk), next_attempt_at=now, expires_at=now,
        )  # fmt: skip
        self.searches = {
            role: SavedSearch.objects.create(user=user, list="images", name="mine", query="status=failed")
            for role, user in users.items()
        }
        senders = {**{role: Identity(user=user) for role, user in users.items()}, "guest": Identity(guest=self.guest)}
        self.uploads = {
            role: resumable.create(identity, 9, "", {"filename": "a.jpg"}) for role, identity in senders.items()
        }
        self.tokens = {role: tokens.find(tokens.issue(user, role)) for role, user in users.items()}
        identity = Identity(user=self.users["administrator"])
        self.invitation, link = invitations.invite(identity)
        self.invitation_key = link.rstrip("/").rsplit("/", 1)[-1]
        self.department_invitation, _ = members.invite(identity, self.department, "", "reader")
        self.calibration = calibrations.apply(identity, self.department, BUNDLE, **CHOSEN)
        _, self.link = sharing.share_by_link(identity, department_objects.study, 1)
        self.linked = department_objects.image
        soon = timezone.now() + timedelta(hours=1)  # workers stay alive however long the tests take
        for role in ("ingest", "bulk", "infer"):
            Worker.objects.create(name=role, role=role, model=BUNDLE, ready=True, seen_at=soon)

    def actor(self, role: str, other: Callable[[walk.Route], dict[str, Any]] = lambda route: {}) -> walk.Actor:
        """Return an actor with this role, who requests their own objects. ``other`` replaces parameter values."""
        client = Client(raise_request_exception=False)
        if role in ("guest", "other guest"):
            guest = self.guest if role == "guest" else uuid4()
            client.cookies[settings.GUEST_COOKIE] = identities.make_token(guest)
        elif role == "service account":
            client = Client(raise_request_exception=False, headers={"Authorization": f"Token {self.service_key}"})
        else:
            client.force_login(self.users[role], backend=settings.AUTHENTICATION_BACKENDS[-1])
        return walk.Actor(client, lambda route: {**self.values(role, route), **other(route)})

    def values(self, role: str, route: walk.Route) -> dict[str, Any]:
        """Return the values of the parameters in the paths of routes, for this role."""
        owned = self.owned[role]
        kind = kind_of(route)
        own = role if role in self.webhooks else "person"
        in_department = "{slug}" in route.path
        values: dict[str, Any] = {
            "images": {"pk": self.linked.pk if "/shared/" in route.path else image_for(route, owned).pk},
            "studies": {"pk": owned.study.pk},
            "patients": {"pk": owned.patient.pk},
            "archives": {"pk": owned.archive.pk},
            "webhooks": {"pk": self.webhooks[own].pk},
            "destinations": {"pk": self.destination.pk},
            "pacs-searches": {"pk": self.search.pk},
            "retrievals": {"pk": self.retrieval.pk},
            "senders": {"pk": self.peer.pk},
            "rules": {"pk": self.rule.pk},
            "deliveries": {"pk": self.deliveries[own].pk},
            "saved-views": {"pk": self.searches[own].pk},
            "uploads": {"pk": self.uploads.get(role, self.uploads["guest"]).pk},
            "tokens": {"pk": self.tokens[own].pk},
            "invitations": {"pk": (self.department_invitation if in_department else self.invitation).pk},
            "service-accounts": {"pk": self.account.pk, "token": self.service_token},
            "members": {"pk": self.department.memberships.get(user=self.users["reader"]).pk},
            "calibration": {"pk": self.calibration.pk},
            # Nobody here has a passkey.
            "keys": {"pk": 1},
        }.get(kind, {})
        key = self.invitation_key if "/invitations/" in route.path else "no-such-key"
        values = {"priority": "bulk", "change": "pause", "path": "workers", "language": "ne", **values}
        values = {"token": self.link, "key": key, "uidb36": "x", "provider_id": "nobody", **values}
        sent = self.sent if kind == "destinations" else self.deliveries[own]
        values |= {"pacs": self.destination.pk, "delivery": sent.pk, "other": owned.other_patient.pk}
        values["share"] = owned.shares.get(kind)
        values |= {**UIDS, "numbers": 1, "tag": "7FE00010"}
        return {"slug": self.department.slug, "signed": predict.sign(owned.image, None), **values}


def image_for(route: walk.Route, owned: OwnedObjects) -> Image:
    """Return the owner's image that suits the route."""
    if "/cancel/" in route.path:
        return owned.waiting
    return owned.failed if "/failures/" in route.path or "/retry/" in route.path else owned.image


def kind_of(route: walk.Route) -> str:
    """Return the kind of object that a route's path names: the part before the key, such as "images"."""
    match = re.search(r"/([\w-]+)/\{pk\}", route.path)
    return match[1] if match else ""


def jpeg() -> SimpleUploadedFile:
    return SimpleUploadedFile("chest.jpg", JPEG)


def destination() -> dict[str, Any]:
    return {
        "name": "Viewer", "host": "viewer.example.org", "port": 104, "called_ae": "VIEWER", "calling_ae": "US",
        "sends": "both", "retrieves": "no", "protocol": "dimse", "sign_in": "none",
    }  # fmt: skip


#: Request body for each route. Other routes get an empty one, or none if the method is GET or DELETE.
BODIES: dict[str, Callable[[], dict[str, Any]]] = {
    "POST /api/v1/images/": lambda: {"file": jpeg()},
    "POST /api/v1/studies/": lambda: {"files": [jpeg()]},
    "POST /api/v1/studies/{pk}/images/": lambda: {"files": [jpeg()]},
    "POST /upload/": lambda: {"files": [jpeg()]},
    "POST /predict": lambda: {"image": "data:image/jpeg;base64," + b64encode(JPEG).decode()},
    "POST /api/v1/auth/token/": lambda: {"username": "person", "password": PASSWORD},
    "POST /api/v1/webhooks/": lambda: {"url": "https://example.org/hook"},
    "POST /notifications/webhooks/": lambda: {"url": "https://example.org/hook"},
    "POST /api/v1/departments/{slug}/destinations/": destination,
    "POST /departments/{slug}/destinations/": destination,
    "POST /destinations/{pk}/": destination,
    "PATCH /api/v1/destinations/{pk}/": lambda: {"port": 11112},
    "POST /api/v1/departments/{slug}/pacs/searches/": lambda: {"patient_id": "4711"},
    "POST /api/v1/pacs-searches/{pk}/retrievals/": lambda: {"studies": ["1.2.3"]},
    "POST /departments/{slug}/pacs/": lambda: {"pacs": "{pacs}", "patient_id": "4711"},
    "POST /pacs-searches/{pk}/": lambda: {"study": "1.2.3"},
    "POST /departments/{slug}/senders/": lambda: {"ae_title": "NEW"},
    "POST /senders/{pk}/": lambda: {"ae_title": "NEW", "host": "scanner", "port": "104"},
    "POST /departments/{slug}/rules/": lambda: {"position": "1", "conditions": "Modality is DX"},
    "POST /rules/{pk}/": lambda: {"position": "2"},
    "POST /departments/{slug}/webhooks/": lambda: {"url": "https://example.org/hook"},
    "POST /notifications/": lambda: {"language": "en"},
    "POST /departments/{slug}/notifications/": lambda: {"language": "en"},
    "POST /api/v1/departments/{slug}/invitations/": lambda: {"role": "reader"},
    "POST /departments/{slug}/invitations/": lambda: {"role": "reader"},
    "POST /api/v1/patients/": lambda: {"identifier": "P-1"},
    "POST /api/v1/patients/{pk}/merge/": lambda: {"other": "{other}"},
    "POST /patients/{pk}/merge/": lambda: {"other": "{other}"},
    "PATCH /api/v1/patients/{pk}/": lambda: {"name": "Ada"},
    "PATCH /api/v1/images/{pk}/": lambda: {"patient": "P-1"},
    "PATCH /api/v1/studies/{pk}/": lambda: {"name": "ward 3"},
    "POST /images/{pk}/edit/": lambda: {"patient": "P-1"},
    "POST /studies/{pk}/edit/": lambda: {"name": "ward 3"},
    "POST /images/{pk}/share/": lambda: {"username": "colleague"},
    "POST /studies/{pk}/share/": lambda: {"days": "1"},
    "POST /api/v1/images/{pk}/shares/": lambda: {"days": 1},
    "POST /api/v1/studies/{pk}/shares/": lambda: {"user": "other manager"},
    "POST /patients/new/": lambda: {"identifier": "P-1"},
    "POST /patients/{pk}/edit/": lambda: {"identifier": "P-1"},
    "POST /saved-views/": lambda: {"list": "images", "name": "failed", "query": "status=failed"},
    "POST /api/v1/saved-views/": lambda: {"list": "images", "name": "failed", "filters": {"status": "failed"}},
    "POST /saved-views/{pk}/": lambda: {"name": "other"},
    "POST /worklist/mark/": lambda: {"action": "stat"},
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
