"""A department's rules for DICOM files, and the senders of these files."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from ml.pictures.dicom.attributes import FOR_RULES
from tests import dicomweb, modality
from webapp.audit.models import Entry
from webapp.dicom.models import Destination, Instance, Peer, Rule
from webapp.dicom.services import peers, rules
from webapp.studies.models import Image
from webapp.studies.outbox.models import Delivery

pytestmark = pytest.mark.django_db


@pytest.fixture
def department(make_department, user):
    return make_department(manager=user)


@pytest.fixture
def signed_in(client, user, department):
    client.force_login(user)
    return client


def test_files_are_read_with_the_attributes_that_rules_use():
    assert set(FOR_RULES) | {rules.CALLING_AE} == rules.ATTRIBUTES


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ("", True),
        ("Modality is dx", True),
        ("Modality is D", False),
        ("InstitutionName contains HOSP\nPatientAge over 59", True),
        ("InstitutionName contains HOSP\nPatientAge over 60", False),
        ("PatientAge under 60.5", True),
        ("StationName contains x", False),
        ("StationName under 3", False),
        ("CallingAE starts with ER", True),
    ],
)
def test_an_image_matches_if_all_conditions_are_met(conditions, expected):
    rules.check_conditions(conditions)
    attributes = {"Modality": "DX", "InstitutionName": "City Hospital", "PatientAge": "060Y", "CallingAE": "ER_1"}
    assert rules.fits(conditions, attributes) is expected


@pytest.mark.parametrize(
    ("age", "condition", "expected"),
    [
        ("090D", "over 60", False),
        ("090D", "under 1", True),
        ("060W", "over 2", False),
        ("060W", "over 1", True),
        ("018M", "under 6", True),
        ("018M", "over 18 months", False),
        ("019M", "over 18 months", True),
        ("720M", "over 59", True),
        ("061Y", "over 60", True),
        ("061", "over 60", True),
        ("unknown", "under 6", False),
    ],
)
def test_ages_are_compared_in_years(age, condition, expected):
    assert rules.fits(f"PatientAge {condition}", {"PatientAge": age}) is expected


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ("Modality = DX", "is not a condition"),
        ("Modalty is DX", "no attribute Modalty"),
        ("PatientAge over many", "needs a number"),
        ("Modality is DX\n" * 11, "no more than 10"),
    ],
)
def test_an_invalid_condition_is_refused(conditions, why):
    with pytest.raises(ValidationError, match=why):
        rules.check_conditions(conditions)


def test_the_first_rule_that_matches_applies(department):
    Rule.objects.create(department=department, position=2, conditions="")
    first = Rule.objects.create(department=department, position=1, conditions="Modality is DX")
    assert rules.decide(department, {"Modality": "DX"}) == first
    assert rules.decide(department, {"Modality": "CR"}).position == 2


def test_a_manager_adds_tries_changes_and_deletes_a_rule(signed_in, department, monkeypatch):
    address = reverse("rules", args=["radiology"])
    form = {"position": 1, "conditions": "Modality is DX", "stat": "on", "results_to": ""}
    assert "no attribute Modalty" in signed_in.post(address, {**form, "conditions": "Modalty is DX"}).content.decode()
    assert signed_in.post(address, form).status_code == 302
    [rule] = department.dicom_rules.all()
    page = signed_in.post(address, {"try": "1", "elements": "Modality = DX"}).content.decode()
    assert "This rule applies:" in page
    assert "No rule matches" in signed_in.post(address, {"try": "1", "elements": "Modality = CR"}).content.decode()
    rule_url = reverse("rule", args=[rule.pk])
    assert signed_in.post(rule_url, {**form, "unread": "on"}).status_code == 302
    assert Rule.objects.get().unread
    monkeypatch.setattr(rules, "MOST_RULES", 1)
    assert "at most 1 rules" in signed_in.post(address, form).content.decode()
    delete = reverse("rule-delete", args=[rule.pk])
    assert "It no longer applies to new images" in signed_in.get(delete).content.decode()
    signed_in.post(delete)
    assert not Rule.objects.exists()
    assert [entry.action for entry in Entry.objects.filter(kind="dicom.rule").order_by("pk")] == [
        "create", "change", "delete",
    ]  # fmt: skip


def test_rules_can_be_tried_with_a_file(signed_in, department):
    Rule.objects.create(department=department, position=1, conditions="Modality is DX\nViewPosition is PA")
    address = reverse("rules", args=["radiology"])

    def try_rules(content, attributes=""):
        file = SimpleUploadedFile("IM1", content)
        return signed_in.post(address, {"try": "1", "elements": attributes, "file": file}).content.decode()

    image = dicomweb.file(modality.image())
    assert "This rule applies:" in try_rules(image)
    assert "No rule matches" in try_rules(image, "ViewPosition = AP")
    assert "not a readable DICOM file" in try_rules(b"GIF89a")


def test_a_rule_names_only_a_destination_of_its_department(signed_in, make_department):
    other = Destination.objects.create(department=make_department("other"), name="A", host="a", called_ae="A")
    form = {"position": 1, "conditions": "", "results_to": str(other.pk)}
    assert signed_in.post(reverse("rules", args=["radiology"]), form).status_code == 400


def test_a_manager_adds_changes_and_deletes_a_sender(signed_in, department):
    address = reverse("senders", args=["radiology"])
    form = {"ae_title": "SCANNER", "network": "10.1.2.0/24", "active": "on"}
    assert signed_in.post(address, {**form, "network": "10.1.2"}).status_code == 400
    assert signed_in.post(address, {**form, "host": "a..b", "port": "104"}).status_code == 400
    assert signed_in.post(address, form).status_code == 302
    peer = Peer.objects.get()
    assert (peer.department, peer.network, peer.active, peer.stat) == (department, "10.1.2.0/24", True, False)
    assert "not heard yet" in signed_in.get(address).content.decode()
    peers.record_connection(peer)
    assert "last connected" in signed_in.get(address).content.decode()
    assert signed_in.post(address, form).status_code == 400  # the name is taken
    signed_in.post(reverse("sender", args=[peer.pk]), {**form, "stat": "on"})
    assert Peer.objects.get().stat
    delete = reverse("sender-delete", args=[peer.pk])
    assert "Its images are refused" in signed_in.get(delete).content.decode()
    signed_in.post(delete)
    assert not Peer.objects.exists()
    assert [entry.action for entry in Entry.objects.filter(kind="dicom.peer").order_by("pk")] == [
        "create", "change", "delete",
    ]  # fmt: skip


def test_a_sender_with_an_address_can_be_tested(signed_in, department):
    address = reverse("senders", args=["radiology"])
    form = {"ae_title": "SCANNER", "host": "10.1.2.3", "active": "on"}
    assert "Please enter this." in signed_in.post(address, form).content.decode()
    assert signed_in.post(address, {**form, "port": "11112"}).status_code == 302
    peer = Peer.objects.get()
    assert "Test SCANNER" in signed_in.get(address).content.decode()
    assert signed_in.post(reverse("sender-test", args=[peer.pk])).status_code == 302
    assert Delivery.objects.get().payload == {"event": "sender.echo", "peer": peer.pk}
    assert Entry.objects.filter(kind="dicom.peer", object_id=str(peer.pk), action="test").count() == 1
    Peer.objects.update(host="", port=None)
    assert "Test SCANNER" not in signed_in.get(address).content.decode()
    assert signed_in.post(reverse("sender-test", args=[peer.pk])).status_code == 404


def test_the_page_shows_what_was_received_lately(signed_in, department, make_department, make_image):
    instance = {"study_uid": "1.2", "series_uid": "1.3", "class_uid": "1.4", "transfer_syntax": "1.5"}
    for number, (ae_title, owner) in enumerate(
        [("SCANNER", department), ("SCANNER", department), ("OTHER", make_department("other")), ("OLD", department)]
    ):
        image = make_image(guest=None, department=owner)
        Instance.objects.create(image=image, instance_uid=f"1.6.{number}", calling_ae=ae_title, **instance)
    Image.objects.filter(instance__calling_ae="OLD").update(created_at=timezone.now() - timedelta(days=8))
    [row] = peers.recent_images(department)
    assert (row["calling_ae"], row["images"]) == ("SCANNER", 2)
    page = signed_in.get(reverse("senders", args=["radiology"])).content.decode()
    assert "<td>SCANNER</td><td>2</td>" in page
    assert "OTHER" not in page


def test_a_sender_that_connects_often_is_recorded_once_a_minute(department):
    peer = Peer.objects.create(ae_title="SCANNER", department=department)
    peers.record_connection(peer)
    first = Peer.objects.get().last_heard_at
    peers.record_connection(peer)
    assert Peer.objects.get().last_heard_at == first
    Peer.objects.update(last_heard_at=timezone.now() - timedelta(minutes=2))
    peers.record_connection(peer)
    assert Peer.objects.get().last_heard_at > first
