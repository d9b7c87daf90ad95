"""For anyone who is not a member, a department's objects do not exist, at any address."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from tests.webapp import resumable, walk
from tests.webapp.hospital import BODIES, CHOSEN, Hospital, OwnedObjects, ask, image_for, jpeg, kind_of
from tests.webapp.rows import BUNDLE
from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.departments import calibrations, members
from webapp.departments.models import Calibration
from webapp.dicom.models import Destination, Peer, Retrieval, Rule, Search
from webapp.notifications.models import Webhook
from webapp.searches.models import SavedSearch
from webapp.studies.models import Image, Patient, Study
from webapp.studies.outbox.models import Delivery, State

pytestmark = [pytest.mark.django_db, pytest.mark.long]
SIGN_IN = ("/accounts/login/",)


@pytest.fixture
def hospital(make_department: Callable[..., Any], make_image: Callable[..., Image]) -> Hospital:
    return Hospital(make_department, make_image)


@pytest.fixture
def secrets(hospital: Hospital, make_image: Callable[..., Image]) -> dict[str, Any]:
    """Objects of another department, and the words and ids that would reveal them."""
    owned = OwnedObjects(make_image, "secret", hospital.users["other manager"], department=hospital.other)
    account = members.make_service_account(Identity(), hospital.other, "tube", "uploader")
    tokens.issue(account.user, "tube token")
    ids = [owned.patient.pk, owned.study.pk, owned.image.pk, owned.waiting.pk, hospital.other.pk]
    words = ["secret", "beta", "Beta", "tube", "other manager", *map(str, ids)]
    webhook = Webhook.objects.create(department=hospital.other, url="https://secret.example.org/")
    destination = Destination.objects.create(
        department=hospital.other, name="secret", host="secret", called_ae="SECRET"
    )
    pacs_fields = {"department": hospital.other, "destination": destination, "criteria": {}}
    pacs_search = Search.objects.create(**pacs_fields, found=[{"study_uid": "9.9", "patient_name": "secret"}])
    retrieval = Retrieval.objects.create(department=hospital.other, search=pacs_search, study_uid="9.9")
    peer = Peer.objects.create(department=hospital.other, ae_title="SECRET")
    rule = Rule.objects.create(department=hospital.other, name_prefix="secret")
    calibration = calibrations.apply(Identity(), hospital.other, BUNDLE, **CHOSEN)
    now = timezone.now()
    delivery = Delivery.objects.create(
        kind="webhook", key="beta", payload={}, destination=str(webhook.pk), state=State.DEAD, next_attempt_at=now,
        expires_at=now,
    )  # fmt: skip
    search = SavedSearch.objects.create(department=hospital.other, list="images", name="secret view", query="")
    invitation, _ = members.invite(
        Identity(user=hospital.users["other manager"]), hospital.other, "secret@example.org", "reader"
    )

    def theirs(route: walk.Route) -> dict[str, Any]:
        found = {
            "images": {"pk": image_for(route, owned).pk},
            "studies": {"pk": owned.study.pk},
            "patients": {"pk": owned.patient.pk},
            "archives": {"pk": owned.archive.pk},
            "webhooks": {"pk": webhook.pk},
            "destinations": {"pk": destination.pk},
            "pacs-searches": {"pk": pacs_search.pk},
            "retrievals": {"pk": retrieval.pk},
            "senders": {"pk": peer.pk},
            "rules": {"pk": rule.pk},
            "calibration": {"pk": calibration.pk},
            "deliveries": {"pk": delivery.pk},
            "saved-views": {"pk": search.pk},
            "uploads": {"pk": hospital.uploads["other manager"].pk},
            "tokens": {"pk": hospital.tokens["other manager"].pk},
            "invitations": {"pk": invitation.pk},
            "service-accounts": {"pk": account.pk, "token": account.user.api_tokens.get().pk},
            "members": {"pk": hospital.other.memberships.get(role="manager").pk},
        }
        share = owned.shares.get(kind_of(route))
        more = {
            "pacs": destination.pk,
            "share": share,
            "slug": hospital.other.slug,
            "delivery": delivery.pk,
            "other": owned.other_patient.pk,
        }
        return {**more, **found[kind_of(route)]} if "pk" in route.names else more

    return {"owned": owned, "words": [word.encode() for word in words], "theirs": theirs}


#: The status if no such calibration is in force, and if a form does not offer the PACS. It is 404 everywhere else.
OTHER_STATUSES = {("calibration", "pk"): 409, ("", "pacs"): 400}
VIEW = {"list": "images", "name": "mine", "filters": {"status": "failed"}}
INSIDERS = ("reader", "manager", "service account", "person", "other guest")


def test_nobody_sees_guesses_counts_or_deletes_objects_of_another_department(
    hospital: Hospital, secrets: dict[str, Any]
) -> None:

    for role in INSIDERS:
        actor = hospital.actor(role, secrets["theirs"])
        for route in walk.routes():
            # Accounts have nothing to do with departments.
            if not {"pk", "slug"} & set(route.names) or route.path.startswith("/accounts/"):
                continue
            answer = ask(actor, route)
            to_sign_in = answer.status_code == 302 and answer["Location"].startswith(SIGN_IN)
            assert answer.status_code in (401, 404) or to_sign_in, (role, route, answer.status_code)
            assert not leaked_words(answer, secrets), (role, route)


def test_ids_of_another_department_are_refused_next_to_ones_own(hospital: Hospital, secrets: dict[str, Any]) -> None:
    """In an address or a form with several ids, each id in turn is replaced by one of another department."""
    requests, wrong = 0, []
    for name in ("pk", "slug", "share", "delivery", "token", "other", "pacs"):
        actor = hospital.actor("manager", lambda route, name=name: one_of_theirs(route, name, secrets["theirs"]))
        for route in walk.routes():
            in_body = f"{{{name}}}" in str(BODIES.get(str(route), dict)().values())
            if in_body or (name in route.names and len(route.names) > 1 and name in secrets["theirs"](route)):
                answer = ask(actor, route)
                requests += 1
                if answer.status_code != OTHER_STATUSES.get((kind_of(route), name), 404):
                    wrong.append((name, str(route), answer.status_code))
                assert not leaked_words(answer, secrets), (name, route)
    assert requests > 30
    assert wrong == []


def one_of_theirs(route: walk.Route, name: str, theirs: Callable[[walk.Route], dict[str, Any]]) -> dict[str, Any]:
    found = theirs(route)
    return {name: found[name]} if name in found else {}


def test_ids_in_a_body_are_looked_up_among_ones_own_objects(hospital: Hospital, secrets: dict[str, Any]) -> None:
    theirs, mine = secrets["owned"], hospital.owned["manager"]
    client, beta = hospital.actor("manager").client, hospital.other.slug
    study = {**resumable.BEGINNING, "Upload-Metadata": f"study {b64encode(str(theirs.study.pk).encode()).decode()}"}
    refused = [
        client.generic("POST", resumable.UPLOADS, b"", resumable.PART, headers=study),
        client.post("/upload/", {"files": [jpeg()], "study": str(theirs.study.pk)}),
        client.post("/upload/", {"files": [jpeg()], "department": beta}),
        client.post("/api/v1/images/", {"file": jpeg(), "department": beta}),
        client.post("/api/v1/studies/", {"files": [jpeg()], "department": beta}),
        client.post("/api/v1/patients/", {"identifier": "P", "department": beta}, "application/json"),
        client.post("/api/v1/saved-views/", {**VIEW, "department": beta}, "application/json"),
    ]
    assert [answer.status_code for answer in refused] == [404] * len(refused)

    manifest = SimpleUploadedFile("manifest.csv", b"file,patient\nchest.jpg,PAT-secret\n")
    client.post("/api/v1/studies/", {"files": [jpeg(), manifest], "department": hospital.department.slug})
    client.patch(f"/api/v1/images/{mine.image.pk}/", {"patient": "PAT-secret"}, "application/json")
    client.post("/worklist/mark/", {"action": "stat", "images": [str(theirs.image.pk)]})
    patients = Patient.objects.filter(identifier="PAT-secret")
    assert set(patients.values_list("department__slug", flat=True)) == {"alpha", "beta"}
    assert list(patients.filter(department=hospital.other)) == [theirs.patient]
    assert Image.objects.filter(patient__in=patients, department=hospital.department).count() == 2
    assert not Image.objects.get(pk=theirs.image.pk).stat


def leaked_words(answer: Any, secrets: dict[str, Any]) -> list[bytes]:
    """Words of the other department in a response, except those in the requested address."""
    text = walk.text_of(answer)
    address = answer.wsgi_request.get_full_path().encode()
    return [word for word in secrets["words"] if word in text.replace(address, b"") and word not in address]


@pytest.mark.parametrize("role", ["reader", "other guest"])
def test_lists_and_searches_hold_nothing_of_another_department(
    hospital: Hospital, secrets: dict[str, Any], role: str
) -> None:
    owned, actor = secrets["owned"], hospital.actor(role)
    searches = [
        {}, {"search": "read-secret"}, {"search": str(owned.image.pk)}, {"search": "PAT-secret"},
        {"patient": "PAT-secret"}, {"patient": str(owned.patient.pk)}, {"study": str(owned.study.pk)},
        {"ordering": "created_at"}, {"status": "succeeded"}, {"department": hospital.other.slug},
        {"department": str(hospital.other.pk)},
    ]  # fmt: skip
    for route in walk.routes():
        if route.method != "GET" or route.names:
            continue
        first = actor.client.get(route.path)
        is_list = b'method="get"' in walk.text_of(first) or b'"results"' in walk.text_of(first)
        for search in searches if is_list else searches[:1]:
            answer = actor.client.get(route.path, search) if search else first
            text = walk.text_of(answer)
            leaked = [word for word in secrets["words"] if word in text and word not in repr(search).encode()]
            # The pages that describe the API are the same for everyone.
            assert not leaked or route.path in ("/api/schema/", "/api/docs/"), (route, search, leaked)
            if search and answer.headers["Content-Type"] == "application/json" and "results" in answer.json():
                assert not [one for one in answer.json()["results"] if "secret" in str(one)], (route, search)


def test_requests_to_another_departments_addresses_change_nothing(hospital: Hospital, secrets: dict[str, Any]) -> None:
    """A manager of one department sends every request to the addresses of another."""

    def everything() -> list[Any]:
        owned = (
            Image, Study, Patient, Webhook, Destination, Peer, Rule, Search, Retrieval, SavedSearch, Calibration,
        )  # fmt: skip
        rows = [list(model._base_manager.filter(department=hospital.other).order_by("pk").values()) for model in owned]
        return [*rows, list(hospital.other.memberships.order_by("pk").values()), list(Delivery.objects.values())]

    before = everything()
    actor = hospital.actor("manager", secrets["theirs"])
    actor.rolls_back = False
    for route in walk.routes():
        if route.method != "GET" and {"pk", "slug"} & set(route.names) and not route.path.startswith("/accounts/"):
            ask(actor, route)
    assert everything() == before
