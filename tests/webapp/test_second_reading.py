"""Second reading: two readers who do not see each other's verdicts, a third who decides, and what verdicts change."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.rows import permission
from webapp.accounts.identity import Identity
from webapp.administration import services as administration
from webapp.departments.models import Department
from webapp.refusals import Refused
from webapp.reviews import prevalence, services
from webapp.reviews.models import EarlierReview, Review
from webapp.reviews.worklist import Worklist
from webapp.sharing import services as sharing
from webapp.studies.choices import ReviewStage, Status
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services.judging import judge_again

pytestmark = pytest.mark.django_db

SECRET = "a shadow behind the heart"


@pytest.fixture
def readers(db: None) -> dict[str, Identity]:
    users = [User.objects.create_user(name) for name in ("annika", "ben", "cleo")]
    return {user.username: Identity(user=user) for user in users}


@pytest.fixture
def department(make_department: Callable[..., Department], readers: dict[str, Identity]) -> Department:
    radiology = make_department("radiology")
    for reader in readers.values():
        radiology.memberships.create(user=reader.user, role="reader")
    return radiology


@pytest.fixture
def blind(department: Department) -> Department:
    department.second_reading = True
    department.save()
    return department


@pytest.fixture
def image(department: Department, make_image: Callable[..., Image], read: Callable[..., None]) -> Image:
    patient = Patient.objects.create(department=department, identifier="P")
    study = Study.objects.create(department=department, patient=patient)
    new_image = make_image(Status.READY, department=department, study=study, patient=patient, filename="chest.jpg")
    read(new_image)
    Image.objects.filter(pk=new_image.pk).update(preview=new_image.file.name)
    new_image.refresh_from_db()
    return new_image


def judge(image: Image, reader: Identity, verdict: str, **more: Any) -> Image:
    services.review(Image.objects.select_related("department").get(pk=image.pk), reader, verdict, **more)
    return Image.objects.get(pk=image.pk)


def signed_in(identity: Identity) -> Client:
    client = Client()
    client.force_login(identity.user)
    return client


# --- one reader -----------------------------------------------------------------------------------------------------


def test_one_readers_verdict_is_final_and_replaces_the_models_result(image, readers):
    judged = judge(image, readers["annika"], "NORMAL", comment="an artefact")
    assert (judged.stage, judged.verdict) == ("done", "NORMAL")
    assert (judged.group, judged.result.group) == ("negative", "positive")


def test_the_old_verdict_is_kept_when_a_reader_changes_it(image, readers):
    judge(image, readers["annika"], "PNEUMONIA", kind="viral", comment=SECRET)
    judge(image, readers["annika"], "PNEUMONIA", kind="viral", comment=SECRET)
    assert not EarlierReview.objects.exists(), "the same verdict again changes nothing"
    judged = judge(image, readers["annika"], "UNUSABLE")
    assert (judged.verdict, judged.verdict_kind, judged.group) == ("UNUSABLE", "", "unusable")
    page = signed_in(readers["ben"])
    (review,) = page.get(f"/api/v1/images/{image.pk}/reviews/").json()
    (before,) = review["earlier"]
    assert (before["verdict"], before["kind"], before["comment"]) == ("PNEUMONIA", "viral", SECRET)
    assert SECRET in page.get(f"/images/{image.pk}/").content.decode()


def test_an_image_with_contradicting_verdicts_waits_for_a_third_reader_who_decides(image, readers):
    judge(image, readers["annika"], "NORMAL")
    contradicted = judge(image, readers["ben"], "PNEUMONIA")
    assert (contradicted.stage, contradicted.verdict, contradicted.group) == ("disagreed", "", "positive")
    (listed,) = Worklist(readers["cleo"], {"stage": "disagreed"}).page(5).rows
    assert listed == image
    assert not Worklist(readers["annika"], {}).page(5).rows, "it waits for a reader who has not given a verdict"
    shown = signed_in(readers["cleo"]).get(f"/worklist/images/{image.pk}/").content.decode()
    assert "Your verdict decides" in shown
    assert "annika" in shown
    decided = judge(image, readers["cleo"], "PNEUMONIA", kind="bacterial")
    assert (decided.stage, decided.verdict, decided.verdict_kind) == ("done", "PNEUMONIA", "bacterial")
    assert judge(image, readers["annika"], "UNSURE").verdict == "PNEUMONIA", "the decision stands"


def test_an_unsure_verdict_or_another_kind_of_pneumonia_is_no_contradiction(image, readers):
    assert judge(image, readers["annika"], "UNSURE").group == "unclear"
    assert judge(image, readers["ben"], "PNEUMONIA", kind="viral").verdict == "PNEUMONIA"
    judged = judge(image, readers["cleo"], "PNEUMONIA", kind="bacterial")
    assert (judged.stage, judged.verdict, judged.verdict_kind) == ("done", "PNEUMONIA", "")


def test_a_verdict_is_refused_if_another_reader_finished_the_review_meanwhile(image, readers, problem):
    judge(image, readers["annika"], "NORMAL", seen="unread")
    page = signed_in(readers["ben"])
    url, body = f"/api/v1/images/{image.pk}/reviews/", {"verdict": "PNEUMONIA", "seen": "unread"}
    problem(page.put(url, body, content_type="application/json"), 409, "reviewed_meanwhile")
    assert Review.objects.count() == 1
    assert page.put(url, {**body, "seen": "done"}, content_type="application/json").status_code == 200
    assert judge(image, readers["annika"], "PNEUMONIA", seen="done").verdict == "PNEUMONIA", "the reader's own verdict"


def test_only_a_verdict_of_pneumonia_has_a_kind(image, readers, problem):
    page, url = signed_in(readers["annika"]), f"/api/v1/images/{image.pk}/reviews/"
    for wrong in ({"verdict": "NORMAL", "kind": "viral"}, {"verdict": "PNEUMONIA", "kind": "odd"}):
        problem(page.put(url, wrong, content_type="application/json"), 400, "invalid_request")
    page.post(f"/images/{image.pk}/review/", {"verdict": "NORMAL", "kind": "viral"})  # the form still had the kind
    assert Review.objects.get().kind == ""


# --- two readers ----------------------------------------------------------------------------------------------------


def addresses(image: Image) -> list[str]:
    """Return every URL that shows something of an image."""
    api = f"/api/v1/images/{image.pk}/"
    return [
        api, f"{api}reviews/", f"/images/{image.pk}/", f"/images/{image.pk}/card/", f"/worklist/images/{image.pk}/",
        "/worklist/", "/worklist/?stage=second", "/api/v1/worklist/", "/api/v1/images/", "/images/", "/studies/",
        f"/studies/{image.study_id}/", f"/studies/{image.study_id}/progress/", f"/api/v1/studies/{image.study_id}/",
        f"/api/v1/studies/{image.study_id}/images/", f"/api/v1/studies/{image.study_id}/results.csv",
        f"/api/v1/studies/{image.study_id}/results.jsonl", f"/patients/{image.patient_id}/", "/", "/news/",
        "/api/v1/images/?group=negative", "/api/v1/images/?reviewed=true",
    ]  # fmt: skip


def body_of(answer: Any) -> str:
    assert answer.status_code == 200, answer
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return content.decode()


@pytest.mark.long
def test_the_second_reader_sees_the_first_verdict_at_no_url(image, blind, readers):
    pages = {name: signed_in(one) for name, one in readers.items()}
    before = {path: body_of(pages["ben"].get(path)) for path in addresses(image)}
    judged = judge(image, readers["annika"], "NORMAL", comment=SECRET)
    assert (judged.stage, judged.verdict, judged.group) == ("second", "", "positive")
    for path in addresses(image):
        shown = body_of(pages["ben"].get(path))
        assert SECRET not in shown, path
        assert "annika" not in shown, path
        # These words stand in the form and the filters too, as often as before.
        for word in ("NORMAL", "Normal", "negative"):
            assert shown.count(word) == before[path].count(word) or path == "/api/v1/images/?reviewed=true", path
    assert json.loads(body_of(pages["ben"].get("/api/v1/images/?group=negative")))["results"] == []
    reviews = pages["annika"].get(f"/api/v1/images/{image.pk}/reviews/").json()
    assert [one["comment"] for one in reviews] == [SECRET]
    superuser = User.objects.create_superuser("root")
    admin = Client()
    admin.force_login(superuser)
    assert "annika" not in admin.get("/admin/reviews/review/").content.decode()
    assert b"chest" not in b"".join(admin.get("/api/v1/reviews/export.zip").streaming_content)


def test_two_agreeing_verdicts_are_final(image, blind, readers):
    judge(image, readers["annika"], "PNEUMONIA", kind="viral")
    assert not Worklist(readers["annika"], {}).page(5).rows
    assert Worklist(readers["ben"], {}).page(5).rows == [image]
    judged = judge(image, readers["ben"], "PNEUMONIA", kind="viral", seen="unread")
    assert (judged.stage, judged.verdict, judged.verdict_kind) == ("done", "PNEUMONIA", "viral")
    shown = body_of(signed_in(readers["ben"]).get(f"/images/{image.pk}/"))
    assert "annika" in shown
    assert "the verdict of the readers of Radiology" in shown


def test_the_third_reader_sees_both_contradicting_verdicts(image, blind, readers):
    judge(image, readers["annika"], "UNSURE", comment=SECRET)
    assert judge(image, readers["ben"], "NORMAL").stage == "disagreed"
    page = signed_in(readers["cleo"])
    assert SECRET in body_of(page.get(f"/worklist/images/{image.pk}/"))
    assert len(page.get(f"/api/v1/images/{image.pk}/reviews/").json()) == 2
    judged = judge(image, readers["cleo"], "NORMAL", seen="disagreed")
    assert (judged.stage, judged.verdict) == ("done", "NORMAL")
    other = User.objects.create_user("dan")
    blind.memberships.create(user=other, role="reader")
    with pytest.raises(Refused, match="Another reader"):
        judge(image, Identity(user=other), "UNSURE", seen="disagreed")


def test_a_reader_sends_a_reviewed_image_to_a_second_reader(image, department, readers, make_image, read):
    unread = make_image(Status.READY, department=department)
    read(unread)
    judge(image, readers["annika"], "NORMAL", comment=SECRET)
    page = signed_in(readers["ben"])
    page.post("/worklist/mark/", {"images": [str(image.pk), str(unread.pk)], "action": "second"})
    image.refresh_from_db()
    assert (image.stage, image.verdict, image.group) == ("second", "", "positive")
    assert b"1 of 2 images" in page.get("/worklist/").content
    assert SECRET not in body_of(page.get(f"/images/{image.pk}/"))
    assert judge(image, readers["ben"], "NORMAL").stage == "done"


def test_only_a_manager_changes_the_setting(department, readers):
    page = signed_in(readers["annika"])
    url = f"/api/v1/departments/{department.slug}/"
    assert page.patch(url, {"second_reading": True}, content_type="application/json").status_code == 403
    department.memberships.filter(user=readers["annika"].user).update(role="manager")
    fresh = signed_in(Identity(user=User.objects.get(username="annika")))
    assert fresh.patch(url, {"second_reading": True}, content_type="application/json").json()["second_reading"]


# --- verdicts supersede the model's result --------------------------------------------------------------------------


def test_a_verdict_supersedes_the_models_result_everywhere_and_that_result_stays_visible(image, readers, client):
    _, token = sharing.share_by_link(readers["annika"], image, 1)
    judge(image, readers["annika"], "NORMAL")
    page = signed_in(readers["ben"])
    shown = body_of(page.get(f"/images/{image.pk}/"))
    assert "<h1>Normal</h1>" in shown
    assert 'class="answer negative"' in shown
    assert "The model's answer was <strong>Signs of pneumonia</strong>" in shown
    by_link = body_of(client.get(f"/shared/{token}/images/{image.pk}/"))
    assert "<h1>Normal</h1>" in by_link
    assert "annika" not in by_link
    study = f"/studies/{image.study_id}/"
    for path in ("/images/", "/images/?group=negative", study, f"/patients/{image.patient_id}/"):
        listed = body_of(page.get(path))
        assert '<span class="tag negative">Normal</span>' in listed, path
        assert '<span class="tag positive">' not in listed, path
    body = page.get(f"/api/v1/images/{image.pk}/").json()
    assert (body["final_group"], body["final_by"], body["verdict"]) == ("negative", "reader", "NORMAL")
    assert (body["result_group"], body["label"], body["review_stage"]) == ("positive", "PNEUMONIA", "done")
    assert page.get("/api/v1/images/?group=positive").json()["results"] == []
    table = body_of(page.get(f"/api/v1/studies/{image.study_id}/results.csv")).lstrip("\ufeff")
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["final_group"], row["final_by"], row["verdict"]) == ("negative", "reader", "NORMAL")
    assert (row["result_group"], row["label"]) == ("positive", "PNEUMONIA")
    assert row["verdicts"] == "NORMAL (annika)"
    line = json.loads(body_of(page.get(f"/api/v1/studies/{image.study_id}/results.jsonl")))
    assert (line["final_group"], line["result_group"], line["verdict_kind"]) == ("negative", "positive", None)


def test_the_models_result_is_final_until_a_reader_reviews_the_image(image, readers):
    body = signed_in(readers["annika"]).get(f"/api/v1/images/{image.pk}/").json()
    assert (body["final_group"], body["final_by"]) == ("positive", "model")
    assert (body["verdict"], body["review_stage"], body["stat"]) == (None, "unread", False)


def test_a_corrected_age_does_not_replace_the_verdict_by_the_models_result(image, readers):
    judge(image, readers["annika"], "NORMAL")
    Image.objects.filter(pk=image.pk).update(age_years=40)
    judge_again(Image.objects.filter(pk=image.pk))
    image.refresh_from_db()
    assert (image.group, image.readings.get().group) == ("negative", "unusable")


def test_the_prevalence_is_estimated_from_model_results_and_final_verdicts(image, department, readers, monkeypatch):
    monkeypatch.setattr(prevalence, "ENOUGH", 1)
    monkeypatch.setattr(prevalence, "ENOUGH_OF_EACH", 1)
    judge(image, readers["annika"], "NORMAL")
    judge(image, readers["ben"], "PNEUMONIA")
    assert prevalence._by_verdicts(department).share == 0.5
    judge(image, readers["cleo"], "PNEUMONIA")
    assert prevalence._by_verdicts(department).share == 0.75  # the share is 1, capped at 0.75 for a single image
    Image.objects.update(stage=ReviewStage.SECOND)
    assert not prevalence._by_verdicts(department).verdicts


def test_a_person_with_whom_an_image_is_shared_sees_no_verdicts(image, readers):
    other = User.objects.create_user("out")
    other.user_permissions.add(permission(Review, "add_review"))
    sharing.share_with(readers["annika"], image, "out")
    judge(image, readers["annika"], "NORMAL", comment=SECRET)
    page = signed_in(Identity(user=other))
    assert page.get(f"/api/v1/images/{image.pk}/reviews/").json() == []
    assert SECRET not in body_of(page.get(f"/images/{image.pk}/"))
    assert page.get(f"/worklist/images/{image.pk}/").status_code == 403


def test_first_verdicts_become_final_when_a_department_ends_second_reading(blind, image, make_image, read, readers):
    requested = make_image(Status.READY, department=blind)
    read(requested)
    Department.objects.filter(pk=blind.pk).update(second_reading=False)
    judge(requested, readers["annika"], "NORMAL")
    services.ask_for_second(readers["annika"], [requested])
    Department.objects.filter(pk=blind.pk).update(second_reading=True)
    waiting = judge(image, readers["annika"], "NORMAL")
    assert (waiting.stage, waiting.group) == ("second", "positive")
    blind.refresh_from_db()
    administration.change_settings(readers["annika"], blind, {"prevalence": 30, "second_reading": True})
    assert Image.objects.get(pk=image.pk).stage == "second", "second reading is still on"
    administration.change_settings(readers["annika"], blind, {"second_reading": False})
    image.refresh_from_db()
    assert (image.stage, image.verdict, image.group, image.reviewed) == ("done", "NORMAL", "negative", True)
    assert Image.objects.get(pk=requested.pk).stage == "second", "a reader asked for this second reading"
    listed = {entry.pk for entry in Worklist(readers["ben"], {}).page(5).rows}
    assert listed == {requested.pk}
