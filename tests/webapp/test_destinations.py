"""Destinations of a department's results: its managers add, change, test and delete them, on pages and by the API."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from webapp import sealing
from webapp.accounts.identity import Identity
from webapp.audit.models import Entry
from webapp.dicom.models import Destination
from webapp.dicom.services import destinations
from webapp.studies.outbox.models import Delivery, Silence, State

pytestmark = pytest.mark.django_db

VALUES = {"name": "Archive", "host": "10.20.0.7", "port": 11112, "called_ae": "ARCHIVE"}
FORM = {
    **VALUES, "protocol": "dimse", "calling_ae": "PNEUMOQUEUE", "sign_in": "none", "sends": "report", "retrieves": "no",
    "enabled": "on",
}  # fmt: skip
WEB = {"name": "Web", "protocol": "stow", "url": "https://pacs.example/dicom-web"}


@pytest.fixture
def department(make_department, user):
    return make_department(manager=user)


@pytest.fixture
def signed_in(client, user):
    client.force_login(user)
    return client


@pytest.fixture
def destination(department, user):
    return destinations.create(Identity(user=user), department, **VALUES)


@pytest.fixture
def api(user_client, department):
    def ask(method, path, **body):
        return getattr(user_client, method)(path, body or None, content_type="application/json")

    return ask


def delivery(destination, state, **fields):
    return Delivery.objects.create(
        kind="dicom", key=f"{state}", destination=str(destination.pk), state=state, next_attempt_at=timezone.now(),
        expires_at=timezone.now(), payload={"event": "dicom.echo"}, **fields,
    )  # fmt: skip


def test_a_manager_adds_changes_and_deletes_a_destination_through_the_api(api):
    added = api("post", "/api/v1/departments/radiology/destinations/", **VALUES)
    assert added.status_code == 201, added.content
    created = added.json()
    assert (created["department"], created["sends"], created["tls"], created["enabled"]) == (
        "radiology",
        "both",
        False,
        True,
    )
    url = f"/api/v1/destinations/{created['id']}/"
    assert api("patch", url, sends="picture", enabled=False).json()["sends"] == "picture"
    assert api("post", f"{url}test/").json()["code"] == "destination_disabled"
    assert [row["id"] for row in api("get", "/api/v1/departments/radiology/destinations/").json()["results"]] == [
        created["id"]
    ]
    assert api("delete", url).status_code == 204
    assert not Destination.objects.exists()
    assert [entry.action for entry in Entry.objects.filter(kind="dicom.destination").order_by("pk")] == [
        "create", "change", "delete",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [{"port": 0}, {"port": 70_000}, {"called_ae": "A\\B"}, {"called_ae": "longer than sixteen"}, {"host": "a b"},
     {"sends": "everything"}, {"tls": "yes"}, {"hsot": "pacs"}],
)  # fmt: skip
def test_invalid_values_are_refused(api, wrong):
    answer = api("post", "/api/v1/departments/radiology/destinations/", **{**VALUES, **wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert not Destination.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"url": ""}, "url"), ({"url": "http://pacs.example/"}, "url"), ({"url": "https://10.0.0.1/"}, "url"),
     ({"retrieves": "get"}, "retrieves"), ({"commitment": True}, "commitment"),
     ({"sign_in": "basic", "secret": "s"}, "sign_in_name"), ({"sign_in": "bearer"}, "secret"),
     ({"sign_in": "bearer", "secret": "a\nb"}, "secret"), ({"protocol": "dimse"}, "host"),
     ({"protocol": "dimse", "host": "a..b", "called_ae": "PACS"}, "host")],
)  # fmt: skip
def test_values_that_do_not_fit_the_protocol_are_refused(api, wrong, field):
    answer = api("post", "/api/v1/departments/radiology/destinations/", **{**WEB, **wrong})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_destination")
    assert f"{field}: " in answer.json()["detail"]
    assert not Destination.objects.exists()


def test_a_secret_is_stored_sealed_and_only_for_its_address(api):
    values = {**WEB, "sign_in": "bearer", "secret": "a-token"}
    created = api("post", "/api/v1/departments/radiology/destinations/", **values).json()
    assert "secret" not in created
    sealed = Destination.objects.get().sealed_secret
    assert sealing.unseal(sealed, destinations.SECRETS) == "a-token"
    url = f"/api/v1/destinations/{created['id']}/"
    assert api("patch", url, name="Renamed").status_code == 200
    assert Destination.objects.get().sealed_secret == sealed
    elsewhere = api("patch", url, url="https://elsewhere.example/")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "invalid_destination")
    assert Destination.objects.get().url == WEB["url"]
    assert api("patch", url, url="https://elsewhere.example/", secret="another").status_code == 200
    assert sealing.unseal(Destination.objects.get().sealed_secret, destinations.SECRETS) == "another"


def test_the_number_of_destinations_is_limited(api, monkeypatch, destination):
    monkeypatch.setattr(destinations, "MAX_DESTINATIONS", 1)
    answer = api("post", "/api/v1/departments/radiology/destinations/", **VALUES)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_destinations")


def test_the_deliveries_of_a_destination_are_listed(api, destination):
    delivery(destination, State.DEAD)
    other = Delivery.objects.create(
        kind="webhook", key="other", destination="other", payload={}, next_attempt_at=timezone.now(),
        expires_at=timezone.now(),
    )  # fmt: skip
    [row] = api("get", f"/api/v1/destinations/{destination.pk}/deliveries/").json()["results"]
    assert (row["event"], row["image"], row["state"]) == ("dicom.echo", None, "dead")
    assert row["id"] != str(other.pk)


def test_the_page_adds_a_destination_and_shows_its_state(signed_in, department):
    address = reverse("destinations", args=["radiology"])
    assert address in signed_in.get(department.get_absolute_url()).content.decode()
    assert "A name or an IP address." in signed_in.post(address, {**FORM, "host": "a b"}).content.decode()
    added = signed_in.post(address, FORM)
    destination = Destination.objects.get()
    assert added.headers["Location"] == reverse("destination", args=[destination.pk])
    delivery(destination, State.WAITING)
    delivery(destination, State.DEAD)
    page = signed_in.get(address).content.decode()
    assert "1 waits" in page
    assert "1 given up" in page
    Silence.objects.create(pk=str(destination.pk), until=timezone.now() + timedelta(minutes=5))
    page = signed_in.get(added.headers["Location"]).content.decode()
    assert "ARCHIVE@10.20.0.7:11112" in page
    assert "It does not answer." in page
    assert page.count("Send again</button>") == 2


def test_the_page_changes_tests_and_deletes_a_destination(signed_in, destination):
    address = reverse("destination", args=[destination.pk])
    signed_in.post(address, {**FORM, "port": 105})
    destination.refresh_from_db()
    assert (destination.port, destination.sends) == (105, "report")
    signed_in.post(reverse("destination-test", args=[destination.pk]))
    assert Delivery.objects.get().payload == {"event": "dicom.echo"}
    assert Entry.objects.filter(action="test", object_id=str(destination.pk)).count() == 1
    signed_in.post(address, {key: value for key, value in FORM.items() if key != "enabled"})
    answer = signed_in.post(reverse("destination-test", args=[destination.pk]), follow=True)
    assert "This destination is switched off." in answer.content.decode()
    delete = reverse("destination-delete", args=[destination.pk])
    assert "waiting deliveries are dropped" in signed_in.get(delete).content.decode()
    assert Destination.objects.exists()
    signed_in.post(delete)
    assert not Destination.objects.exists()


def test_a_delivery_that_was_given_up_is_sent_again_by_hand_at_once(signed_in, destination):
    dead = delivery(destination, State.DEAD)
    Silence.objects.create(pk=str(destination.pk), until=timezone.now() + timedelta(minutes=5))
    signed_in.post(reverse("destination-send-again", args=[destination.pk, dead.pk]))
    dead.refresh_from_db()
    assert dead.state == State.WAITING
    assert dead.next_attempt_at <= timezone.now()


def test_the_number_of_statements_of_a_page_does_not_grow_with_the_deliveries(signed_in, destination, statements):
    counts = []
    for number in range(2):
        for state in (State.DELIVERED, State.DEAD):
            Delivery.objects.bulk_create(
                Delivery(kind="dicom", key=f"{number} {state} {row}", destination=str(destination.pk), state=state,
                         next_attempt_at=timezone.now(), expires_at=timezone.now(), payload={"event": "dicom.echo"})
                for row in range(5)
            )  # fmt: skip
        statements.clear()
        signed_in.get(reverse("destination", args=[destination.pk]))
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_a_manager_sees_undelivered_results_among_failures(signed_in, destination, make_department):
    dead = delivery(destination, State.DEAD)
    other = Destination.objects.create(department=make_department("other"), name="B", host="b", called_ae="B")
    hidden = Delivery.objects.create(
        kind="dicom", key="other", destination=str(other.pk), state=State.DEAD, payload={},
        next_attempt_at=timezone.now(), expires_at=timezone.now(),
    )  # fmt: skip
    page = signed_in.get(reverse("failures")).content.decode()
    assert reverse("failure-delivery", args=[dead.pk]) in page
    assert reverse("failure-delivery", args=[hidden.pk]) not in page
    assert signed_in.post(reverse("failure-delivery", args=[hidden.pk]), {"do": "again"}).status_code == 404
