"""Results as FHIR: bundles are valid in both versions, with the status and codes of every kind of result."""

from uuid import uuid4

import pytest
from fhir.resources.bundle import Bundle
from fhir.resources.R4B.bundle import Bundle as BundleR4

from tests.webapp.rows import MODEL, claim, make_reading, result
from webapp.accounts.identity import Identity
from webapp.audit.models import Entry
from webapp.dicom.models import Instance
from webapp.notifications import sending, services
from webapp.notifications.models import Webhook
from webapp.studies.choices import ReviewStage, Status
from webapp.studies.models import Image, Patient, Reading, Study
from webapp.studies.services import reading

pytestmark = pytest.mark.django_db

UNRELIABLE = [{"code": "age_outside_training", "detail": ""}]


@pytest.fixture
def study(make_department, user):
    department = make_department(manager=user)
    patient = Patient.objects.create(department=department, identifier="MRN-4711")
    return Study.objects.create(department=department, patient=patient)


@pytest.fixture
def add(make_image, study):
    def make(pneumonia=None, warnings=(), dicom=True, unreliable_group="unusable", instance=(), **fields):
        """Create an image that was read, or one that failed if no probability is given."""
        if pneumonia is None:
            image = make_image(Status.FAILED, study=study, department=study.department, error_code="image_corrupt")
        else:
            image = make_image(study=study, department=study.department)
            Image.objects.filter(pk=image.pk).update(status=Status.READY)
            make_reading(image)
            token, _ = claim(image)
            assert reading.succeed(token, [result(image.pk, pneumonia)], MODEL, seconds=0.1)
        if warnings:
            Reading.objects.filter(image=image).update(warnings=list(warnings), group=unreliable_group)
            fields["group"] = unreliable_group
        Image.objects.filter(pk=image.pk).update(**fields)
        if dicom:
            attributes = {
                "study_uid": "1.2.3", "series_uid": "1.2.3.4", "instance_uid": f"1.2.3.4.{uuid4().int % 9999}",
                "class_uid": "1.2.840.10008.5.1.4.1.1.1", "transfer_syntax": "1.2.840.10008.1.2.1", "modality": "CR",
                "study_date": "2026-01-05",
            }  # fmt: skip
            Instance.objects.create(image=image, **(attributes | dict(instance)))
        return image

    return make


@pytest.fixture
def fetch_resources(user_client, study):
    def fetch(version="5.0"):
        answer = user_client.get(f"/api/v1/studies/{study.pk}/fhir/?fhirVersion={version}")
        assert answer.status_code == 200, answer.content
        assert answer["Content-Type"] == f"application/fhir+json; fhirVersion={version}"
        (Bundle if version == "5.0" else BundleR4).model_validate(answer.json())
        found = {}
        for entry in answer.json()["entry"]:
            found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
        return found

    return fetch


def reviewed(verdict, group, kind=""):
    return {"verdict": verdict, "verdict_kind": kind, "group": group, "stage": ReviewStage.DONE, "reviewed": True}


@pytest.mark.parametrize("version", ["5.0", "4.0"])
def test_every_kind_of_result_is_valid(add, fetch_resources, version):
    add(0.9)
    add(0.3)
    add(0.05, dicom=False)
    add(0.9, UNRELIABLE)
    add(None)
    add(0.1, **reviewed("PNEUMONIA", "positive", "viral"))
    found = fetch_resources(version)
    assert len(found["Observation"]) == 6 * 2 + 3  # a probability only if it is the model's and reliable
    statuses = [one["status"] for one in found["Observation"] if "hasMember" in one]
    assert sorted(statuses) == ["cancelled", "corrected", *["preliminary"] * 4]
    (report,), (imaging,), (device,) = (found[name] for name in ("DiagnosticReport", "ImagingStudy", "Device"))
    assert report["status"] == "preliminary"
    assert report["subject"]["identifier"]["value"] == "MRN-4711"
    assert imaging["identifier"][0]["value"] == "urn:oid:1.2.3"
    assert (imaging["numberOfInstances"], len(imaging["series"])) == (5, 1)
    assert device["modelNumber"] == MODEL.bundle


def observations_by_name(found):
    return {one["code"]["text"]: one for one in found["Observation"] if "text" in one["code"]}


def test_an_unreviewed_result_is_preliminary_and_has_the_probability(add, fetch_resources):
    add(0.9)
    found = fetch_resources()
    observations = observations_by_name(found)
    assert observations["Presence of pneumonia"]["valueCodeableConcept"]["coding"][0]["display"] == "Present"
    assert observations["Probability of pneumonia by the model"]["valueQuantity"]["value"] == 90
    assert {one["status"] for one in found["Observation"]} == {"preliminary"}
    assert found["DiagnosticReport"][0]["conclusionCode"][0]["coding"][0]["code"] == "233604007"
    assert "Not for diagnosis" in found["DiagnosticReport"][0]["conclusion"]


def test_an_unreliable_result_has_no_value(add, fetch_resources):
    add(0.9, UNRELIABLE)
    observations = observations_by_name(fetch_resources())
    assert set(observations) == {"Presence of pneumonia"}
    assert "valueCodeableConcept" not in observations["Presence of pneumonia"]
    assert observations["Presence of pneumonia"]["dataAbsentReason"]["coding"][0]["code"] == "unsupported"


def test_the_conclusion_counts_an_unreliable_label_only_with_a_verdict(add, fetch_resources):
    image = add(0.9, UNRELIABLE, unreliable_group="positive")
    [report] = fetch_resources()["DiagnosticReport"]
    assert report["conclusion"].startswith("0 of 0 evaluated images show signs of pneumonia; 1 not evaluated. Not")
    assert "conclusionCode" not in report
    Image.objects.filter(pk=image.pk).update(**reviewed("PNEUMONIA", "positive"))
    [report] = fetch_resources()["DiagnosticReport"]
    assert report["conclusion"].startswith("1 of 1 evaluated images show signs of pneumonia. Not")
    assert report["conclusionCode"][0]["coding"][0]["code"] == "233604007"


def test_the_conclusion_counts_images_without_an_answer_apart(add, fetch_resources, make_image, study):
    add(0.9), add(0.3), add(0.05)
    add(0.05, UNRELIABLE), add(0.05, UNRELIABLE)
    add(None)
    make_image(Status.READY, study=study, department=study.department)
    [report] = fetch_resources()["DiagnosticReport"]
    assert report["conclusion"].startswith(
        "1 of 3 evaluated images show signs of pneumonia; 1 unclear, 2 not evaluated, 2 not read. Not"
    )


def test_a_verdict_that_agrees_with_an_unreliable_label_is_the_readers(add, fetch_resources):
    add(0.9, UNRELIABLE, unreliable_group="positive", **reviewed("PNEUMONIA", "positive"))
    observations = observations_by_name(fetch_resources())
    assert set(observations) == {"Presence of pneumonia"}
    presence = observations["Presence of pneumonia"]
    assert presence["status"] == "final"
    assert presence["valueCodeableConcept"]["coding"][0]["display"] == "Present"
    assert presence["performer"] == [{"display": "A reader"}]
    assert "device" not in presence


def test_a_verdict_confirms_or_corrects_the_result(add, fetch_resources):
    add(0.9, **reviewed("PNEUMONIA", "positive", "bacterial"))
    found = fetch_resources()
    assert found["DiagnosticReport"][0]["status"] == "final"
    assert found["DiagnosticReport"][0]["conclusionCode"][0]["coding"][0]["code"] == "53084003"
    add(0.9, **reviewed("NORMAL", "negative"))
    found = fetch_resources()
    assert found["DiagnosticReport"][0]["status"] == "corrected"
    corrected = [one for one in found["Observation"] if one["status"] == "corrected"]
    assert [one.get("valueCodeableConcept", {}).get("coding", [{}])[0].get("display") for one in corrected] == [
        None, "Absent",
    ]  # fmt: skip
    assert all("device" not in one for one in corrected)


@pytest.mark.parametrize("version", ["5.0", "4.0"])
def test_each_dicom_study_has_its_own_imaging_study(add, fetch_resources, version):
    add(0.9)
    add(0.9)
    add(0.9, instance={"study_uid": "1.2.9", "series_uid": "1.2.9.4", "study_date": "2025-03-04"})
    found = fetch_resources(version)
    studies = {one["identifier"][0]["value"]: one for one in found["ImagingStudy"]}
    assert {uid: (one["started"], one["numberOfInstances"], len(one["series"])) for uid, one in studies.items()} == {
        "urn:oid:1.2.3": ("2026-01-05", 2, 1), "urn:oid:1.2.9": ("2025-03-04", 1, 1),
    }  # fmt: skip
    urns = [f"urn:uuid:{one['id']}" for one in found["ImagingStudy"]]
    references = found["DiagnosticReport"][0]["study" if version == "5.0" else "imagingStudy"]
    assert [one["reference"] for one in references] == urns
    groups = [one["derivedFrom"][0]["reference"] for one in found["Observation"] if "hasMember" in one]
    assert groups == [urns[0], urns[0], urns[1]]


@pytest.mark.parametrize("missing", ["study_uid", "series_uid", "instance_uid", "class_uid"])
def test_an_image_whose_file_lacks_a_uid_is_in_no_imaging_study(add, fetch_resources, missing):
    add(0.9, instance={missing: ""})
    assert "ImagingStudy" not in fetch_resources()
    add(0.9)
    found = fetch_resources()
    assert found["ImagingStudy"][0]["numberOfInstances"] == 1
    assert ["derivedFrom" in one for one in found["Observation"] if "hasMember" in one] == [False, True]


def test_the_report_of_a_study_that_is_being_read_is_partial(add, fetch_resources, make_image, study):
    add(0.9)
    make_image(Status.READY, study=study, department=study.department)
    assert fetch_resources()["DiagnosticReport"][0]["status"] == "partial"


def test_the_accept_header_selects_the_version_and_an_unknown_version_is_refused(add, user_client, study):
    add(0.9)
    url = f"/api/v1/studies/{study.pk}/fhir/"
    answer = user_client.get(url, headers={"Accept": "application/fhir+json; fhirVersion=4.0"})
    assert answer["Content-Type"].endswith("fhirVersion=4.0")
    assert "imagingStudy" in answer.json()["entry"][0]["resource"]
    assert user_client.get(f"{url}?fhirVersion=3.0").json()["code"] == "invalid_request"
    assert Entry.objects.filter(action="export", object_id=str(study.pk)).count() >= 1


def test_a_study_with_too_many_images_is_refused(add, user_client, study, monkeypatch):
    monkeypatch.setattr("webapp.fhir.bundles.MAX_IMAGES", 1)
    add(0.9), add(0.9)
    answer = user_client.get(f"/api/v1/studies/{study.pk}/fhir/")
    assert (answer.status_code, answer.json()["code"]) == (413, "study_too_large")


@pytest.mark.parametrize(("payload", "bundle_class"), [("ids", None), ("fhir-5.0", Bundle), ("fhir-4.0", BundleR4)])
def test_a_webhook_gets_findings_only_if_its_payload_says_so(add, study, user, monkeypatch, payload, bundle_class):
    monkeypatch.setattr("webapp.notifications.addresses.check_url", lambda url: None)
    add(0.9)
    webhook, _ = services.create_webhook(Identity(user=user), "https://example.org/", payload=payload)
    body = sending._body(
        {"event": "study.finished", "event_id": "x", "created_at": "y", "study": str(study.pk)},
        Webhook.objects.get(pk=webhook.pk),
    )
    assert ("MRN-4711" in str(body)) == ("fhir" in body) == (bundle_class is not None)
    if bundle_class:
        bundle_class.model_validate(body["fhir"])
