"""Two readers, the second of whom does not know what the first says, a third who decides, and what verdicts change."""

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
    made = [User.objects.create_user(name) for name in ("annika", "ben", "cleo")]
    return {user.username: Identity(user=user) for user in made}


@pytest.fixture
def department(make_department: Callable[..., Department], readers: dict[str, Identity]) -> Department:
    made = make_department("radiology")
    for one in readers.values():
        made.memberships.create(user=one.user, role="reader")
    return made


@pytest.fixture
def blind(department: Department) -> Department:
    department.second_reading = True
    department.save()
    return department


@pytest.fixture
def image(department: Department, make_image: Callable[..., Image], read: Callable[..., None]) -> Image:
    patient = Patient.objects.create(department=department, identifier="P")
    study = Study.objects.create(department=department, patient=patient)
    made = make_image(Status.READY, department=department, study=study, patient=patient, filename="chest.jpg")
    read(made)
    Image.objects.filter(pk=made.pk).update(preview=made.file.name)
    made.refresh_from_db()
    return made


def judge(image: Image, by: Identity, verdict: str, **more: Any) -> Image:
    services.review(Image.objects.select_related("department").get(pk=image.pk), by, verdict, **more)
    return Image.objects.get(pk=image.pk)


def signed_in(identity: Identity) -> Client:
    client = Client()
    client.force_login(identity.user)
    return client


# --- one reader -----------------------------------------------------------------------------------------------------


def test_one_reader_is_enough_and_the_verdict_comes_in_place_of_the_models_answer(image, readers):
    judged = judge(image, readers["annika"], "NORMAL", comment="an artefact")
    assert (judged.stage, judged.verdict) == ("done", "NORMAL")
    assert (judged.group, judged.result.group) == ("negative", "positive")


def test_a_changed_verdict_keeps_the_old_one(image, readers):
    judge(image, readers["annika"], "PNEUMONIA", kind="viral", comment=SECRET)
    judge(image, readers["annika"], "PNEUMONIA", kind="viral", comment=SECRET)
    assert not EarlierReview.objects.exists(), "nothing has changed"
    judged = judge(image, readers["annika"], "UNUSABLE")
    assert (judged.verdict, judged.verdict_kind, judged.group) == ("UNUSABLE", "", "unusable")
    page = signed_in(readers["ben"])
    (review,) = page.get(f"/api/v1/images/{image.pk}/reviews/").json()
    (before,) = review["earlier"]
    assert (before["verdict"], before["kind"], before["comment"]) == ("PNEUMONIA", "viral", SECRET)
    assert SECRET in page.get(f"/images/{image.pk}/").content.decode()


def test_readers_who_contradict_each_other_are_listed_for_a_third_who_decides(image, readers):
    judge(image, readers["annika"], "NORMAL")
    disagreed = judge(image, readers["ben"], "PNEUMONIA")
    assert (disagreed.stage, disagreed.verdict, disagreed.group) == ("disagreed", "", "positive")
    (listed,) = Worklist(readers["cleo"], {"stage": "disagreed"}).page(5).rows
    assert listed == image
    assert not Worklist(readers["annika"], {}).page(5).rows, "it waits for others"
    shown = signed_in(readers["cleo"]).get(f"/worklist/images/{image.pk}/").content.decode()
    assert "Your verdict decides" in shown
    assert "annika" in shown
    decided = judge(image, readers["cleo"], "PNEUMONIA", kind="bacterial")
    assert (decided.stage, decided.verdict, decided.verdict_kind) == ("done", "PNEUMONIA", "bacterial")
    assert judge(image, readers["annika"], "UNSURE").verdict == "PNEUMONIA", "the decision stands"


def test_who_is_not_sure_contradicts_nobody_and_the_kind_needs_no_third_reader(image, readers):
    assert judge(image, readers["annika"], "UNSURE").group == "unclear"
    assert judge(image, readers["ben"], "PNEUMONIA", kind="viral").verdict == "PNEUMONIA"
    judged = judge(image, readers["cleo"], "PNEUMONIA", kind="bacterial")
    assert (judged.stage, judged.verdict, judged.verdict_kind) == ("done", "PNEUMONIA", "")


def test_a_verdict_that_another_reader_made_needless_meanwhile_is_told_and_not_kept(image, readers, problem):
    judge(image, readers["annika"], "NORMAL", seen="unread")
    page = signed_in(readers["ben"])
    url, body = f"/api/v1/images/{image.pk}/reviews/", {"verdict": "PNEUMONIA", "seen": "unread"}
    problem(page.put(url, body, content_type="application/json"), 409, "reviewed_meanwhile")
    assert Review.objects.count() == 1
    assert page.put(url, {**body, "seen": "done"}, content_type="application/json").status_code == 200
    assert judge(image, readers["annika"], "PNEUMONIA", seen="done").verdict == "PNEUMONIA", "their own they may change"


def test_only_a_pneumonia_has_a_kind(image, readers, problem):
    page, url = signed_in(readers["annika"]), f"/api/v1/images/{image.pk}/reviews/"
    for wrong in ({"verdict": "NORMAL", "kind": "viral"}, {"verdict": "PNEUMONIA", "kind": "odd"}):
        problem(page.put(url, wrong, content_type="application/json"), 400, "invalid_request")
    page.post(f"/images/{image.pk}/review/", {"verdict": "NORMAL", "kind": "viral"})  # left over in the form
    assert Review.objects.get().kind == ""


# --- two readers ----------------------------------------------------------------------------------------------------


def addresses(image: Image) -> list[str]:
    """Every address that shows something of an image."""
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
def test_the_second_reader_sees_nothing_of_the_first_verdict_at_any_address(image, blind, readers):
    pages = {name: signed_in(one) for name, one in readers.items()}
    before = {path: body_of(pages["ben"].get(path)) for path in addresses(image)}
    judged = judge(image, readers["annika"], "NORMAL", comment=SECRET)
    assert (judged.stage, judged.verdict, judged.group) == ("second", "", "positive")
    for path in addresses(image):
        shown = body_of(pages["ben"].get(path))
        assert SECRET not in shown, path
        assert "annika" not in shown, path
        # The words of the form and of filters are the same as before.
        for word in ("NORMAL", "Normal", "negative"):
            assert shown.count(word) == before[path].count(word) or path == "/api/v1/images/?reviewed=true", path
    assert json.loads(body_of(pages["ben"].get("/api/v1/images/?group=negative")))["results"] == []
    own = pages["annika"].get(f"/api/v1/images/{image.pk}/reviews/").json()
    assert [one["comment"] for one in own] == [SECRET]
    boss = User.objects.create_superuser("root")
    admin = Client()
    admin.force_login(boss)
    assert "annika" not in admin.get("/admin/reviews/review/").content.decode()
    assert b"chest" not in b"".join(admin.get("/api/v1/reviews/export.zip").streaming_content)


def test_two_readers_who_agree_are_enough_and_others_read_in_the_meantime(image, blind, readers):
    judge(image, readers["annika"], "PNEUMONIA", kind="viral")
    assert not Worklist(readers["annika"], {}).page(5).rows
    assert Worklist(readers["ben"], {}).page(5).rows == [image]
    judged = judge(image, readers["ben"], "PNEUMONIA", kind="viral", seen="unread")
    assert (judged.stage, judged.verdict, judged.verdict_kind) == ("done", "PNEUMONIA", "viral")
    shown = body_of(signed_in(readers["ben"]).get(f"/images/{image.pk}/"))
    assert "annika" in shown
    assert "the verdict of the readers of Radiology" in shown


def test_two_readers_who_disagree_are_both_seen_by_the_third(image, blind, readers):
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


def test_a_reviewed_image_is_sent_to_a_second_reader(image, department, readers, make_image, read):
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


def test_the_setting_is_a_managers(department, readers):
    page = signed_in(readers["annika"])
    url = f"/api/v1/departments/{department.slug}/"
    assert page.patch(url, {"second_reading": True}, content_type="application/json").status_code == 403
    department.memberships.filter(user=readers["annika"].user).update(role="manager")
    fresh = signed_in(Identity(user=User.objects.get(username="annika")))
    assert fresh.patch(url, {"second_reading": True}, content_type="application/json").json()["second_reading"]


# --- what verdicts supersede ----------------------------------------------------------------------------------------


def test_a_verdict_supersedes_the_answer_wherever_it_shows_and_the_models_stays_beneath(image, readers, client):
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
    found = page.get(f"/api/v1/images/{image.pk}/").json()
    assert (found["final_group"], found["final_by"], found["verdict"]) == ("negative", "reader", "NORMAL")
    assert (found["result_group"], found["label"], found["review_stage"]) == ("positive", "PNEUMONIA", "done")
    assert page.get("/api/v1/images/?group=positive").json()["results"] == []
    table = body_of(page.get(f"/api/v1/studies/{image.study_id}/results.csv")).lstrip("\ufeff")
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["final_group"], row["final_by"], row["verdict"]) == ("negative", "reader", "NORMAL")
    assert (row["result_group"], row["label"]) == ("positive", "PNEUMONIA")
    assert row["verdicts"] == "NORMAL (annika)"
    line = json.loads(body_of(page.get(f"/api/v1/studies/{image.study_id}/results.jsonl")))
    assert (line["final_group"], line["result_group"], line["verdict_kind"]) == ("negative", "positive", None)


def test_what_nobody_has_reviewed_has_the_models_answer_as_the_final_one(image, readers):
    found = signed_in(readers["annika"]).get(f"/api/v1/images/{image.pk}/").json()
    assert (found["final_group"], found["final_by"]) == ("positive", "model")
    assert (found["verdict"], found["review_stage"], found["stat"]) == (None, "unread", False)


def test_a_corrected_age_does_not_bring_the_models_answer_back(image, readers):
    judge(image, readers["annika"], "NORMAL")
    Image.objects.filter(pk=image.pk).update(age_years=40)
    judge_again(Image.objects.filter(pk=image.pk))
    image.refresh_from_db()
    assert (image.group, image.readings.get().group) == ("negative", "unusable")


def test_the_share_of_pneumonias_goes_by_the_models_answers_and_the_decisions(image, department, readers, monkeypatch):
    monkeypatch.setattr(prevalence, "ENOUGH", 1)
    monkeypatch.setattr(prevalence, "ENOUGH_OF_EACH", 1)
    judge(image, readers["annika"], "NORMAL")
    judge(image, readers["ben"], "PNEUMONIA")
    assert prevalence._by_verdicts(department).share == 0.5
    judge(image, readers["cleo"], "PNEUMONIA")
    assert prevalence._by_verdicts(department).share == 0.75  # all of one, as far from certain as one is
    Image.objects.update(stage=ReviewStage.SECOND)
    assert not prevalence._by_verdicts(department).verdicts


def test_whom_an_image_is_shared_with_sees_no_verdicts(image, readers):
    other = User.objects.create_user("out")
    other.user_permissions.add(permission(Review, "add_review"))
    sharing.share_with(readers["annika"], image, "out")
    judge(image, readers["annika"], "NORMAL", comment=SECRET)
    page = signed_in(Identity(user=other))
    assert page.get(f"/api/v1/images/{image.pk}/reviews/").json() == []
    assert SECRET not in body_of(page.get(f"/images/{image.pk}/"))
    assert page.get(f"/worklist/images/{image.pk}/").status_code == 403


def test_a_department_that_ends_second_reading_lets_first_verdicts_stand(blind, image, make_image, read, readers):
    asked = make_image(Status.READY, department=blind)
    read(asked)
    Department.objects.filter(pk=blind.pk).update(second_reading=False)
    judge(asked, readers["annika"], "NORMAL")
    services.ask_for_second(readers["annika"], [asked])
    Department.objects.filter(pk=blind.pk).update(second_reading=True)
    waiting = judge(image, readers["annika"], "NORMAL")
    assert (waiting.stage, waiting.group) == ("second", "positive")
    blind.refresh_from_db()
    administration.change_settings(readers["annika"], blind, {"prevalence": 30, "second_reading": True})
    assert Image.objects.get(pk=image.pk).stage == "second", "it is still wanted"
    administration.change_settings(readers["annika"], blind, {"second_reading": False})
    image.refresh_from_db()
    assert (image.stage, image.verdict, image.group, image.reviewed) == ("done", "NORMAL", "negative", True)
    assert Image.objects.get(pk=asked.pk).stage == "second", "somebody has asked for it"
    listed = {one.pk for one in Worklist(readers["ben"], {}).page(5).rows}
    assert listed == {asked.pk}
