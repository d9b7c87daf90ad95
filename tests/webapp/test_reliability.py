"""Ages and views outside the model's training data, and results that scripts can rely on."""

import base64
import csv
import io
import json
from datetime import date

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.webapp.clients import JPEG, PASSWORD, Client
from webapp.reviews.models import Review
from webapp.studies.api import predict
from webapp.studies.choices import ResultGroup, Status, group_of
from webapp.studies.models import Image, Patient

OUTSIDE = {"code": "age_outside_training", "detail": "The patient was 64 years old; the model learnt from others."}
LATERAL = {"code": "view_not_frontal", "detail": "This is a lateral view."}
NO_CHEST = {"code": "not_chest_xray", "detail": "This is a pagoda."}
FILM = {"code": "photograph_of_film", "detail": "This is a photograph of a film."}
BORDERS = {"code": "borders_removed", "detail": "Borders were cut off."}


# --- details of an image ------------------------------------------------------------------------------------------


def test_an_upload_takes_an_age_a_view_and_a_comment(client):
    job = client.upload(age="2.5", view="AP", comment=" after a fall ").json()
    assert (job["age"], job["view"], job["comment"]) == (2.5, "AP", "after a fall")
    assert client.get(job["url"]).json()["age"] == 2.5
    without_details = client.upload(age="", view="unknown").json()
    assert (without_details["age"], without_details["view"], without_details["comment"]) == (None, None, None)


@pytest.mark.parametrize(
    "fields", [{"age": "old"}, {"age": "-1"}, {"age": "131"}, {"age": "nan"}, {"age": "inf"}, {"view": "sideways"}]
)
def test_an_invalid_age_or_view_is_refused(client, problem, fields):
    document = problem(client.upload(**fields), 400, "invalid_request")
    assert set(document["errors"]) == set(fields)
    problem(client.upload_study({"a.jpg": JPEG}, **fields), 400, "invalid_request")
    assert not Image.objects.exists()


def test_the_upload_form_without_scripts_takes_an_age(client):
    def send(age):
        return client.post("/upload/", {"files": [SimpleUploadedFile("a.jpg", JPEG)], "age": age})

    assert send("3.5").status_code == 302
    assert Image.objects.get().age_years == 3.5
    refused = send("four")
    assert (refused.status_code, Image.objects.count()) == (400, 1)
    assert "The age is a number of years" in refused.content.decode()


@pytest.mark.parametrize(
    ("born", "day", "age"),
    [
        (date(2020, 3, 1), date(2021, 3, 1), 1.0),
        (date(2020, 3, 1), date(2021, 2, 28), pytest.approx(0.995, abs=0.01)),
        (date(2020, 2, 29), date(2026, 2, 28), pytest.approx(5.997, abs=0.01)),
        (date(2020, 3, 1), date(2026, 3, 1), 6.0),
        (date(2020, 3, 1), date(2020, 3, 1), 0.0),
        (date(2020, 3, 2), date(2020, 3, 1), None),
        (None, date(2020, 3, 1), None),
    ],
)
def test_an_age_is_whole_on_a_birthday_and_below_it_the_day_before(born, day, age):
    assert Patient(birth_date=born).age_on(day) == age


def test_a_missing_age_is_computed_from_the_birth_date(user_client, user):
    Patient.objects.create(owner=user, identifier="P-1", birth_date=date(1962, 1, 1))
    assert user_client.upload(patient="P-1").json()["age"] > 60
    assert user_client.upload(patient="P-1", age="3").json()["age"] == 3
    ages = [image["age"] for image in user_client.get("/api/v1/images/").json()["results"]]
    assert ages[0] == 3
    assert ages[1] > 60


# --- the result -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warning", [OUTSIDE, LATERAL, NO_CHEST, FILM])
def test_an_unreliable_result_has_no_label(warning):
    for probability in (0.01, 0.3, 0.99):
        assert group_of(probability, 0.5, {}, [BORDERS, warning]) == ResultGroup.UNUSABLE
    assert group_of(0.99, 0.5, {}, [BORDERS]) == ResultGroup.POSITIVE


@pytest.mark.parametrize("warning", [NO_CHEST, FILM])
def test_label_outside_training_gives_no_label_to_an_image_that_is_no_x_ray(warning):
    assert group_of(0.99, 0.5, {}, [OUTSIDE, warning], label_outside_training=True) == ResultGroup.UNUSABLE
    assert group_of(0.99, 0.5, {}, [OUTSIDE], label_outside_training=True) == ResultGroup.POSITIVE


def answers(user_client, image):
    """Return the result as the API's image, its reading, the JSON lines and the CSV table give it."""
    job = user_client.get(f"/api/v1/images/{image.pk}/").json()
    study = job["study"]
    [row] = csv.DictReader(io.StringIO(user_client.get(f"{study}results.csv").getvalue().decode("utf-8-sig")))
    line = json.loads(user_client.get(f"{study}results.jsonl").getvalue())
    table = {"label": row["label"] or None, "result_group": row["result_group"], "reliable": row["reliable"] == "true"}
    return [{name: source[name] for name in table} for source in (job, job["readings"][0], line)] + [table]


@pytest.mark.parametrize("warning", [OUTSIDE, LATERAL, NO_CHEST, FILM])
def test_an_unreliable_result_is_the_same_in_every_format(client, read, warning):
    client.upload_study({"a.jpg": JPEG})
    image = Image.objects.get()
    read(image, pneumonia=0.01, warnings=(warning,))
    assert answers(client, image) == [{"label": None, "result_group": "unusable", "reliable": False}] * 4


def test_a_reliable_result_is_the_same_in_every_format(client, read):
    client.upload_study({"a.jpg": JPEG})
    image = Image.objects.get()
    read(image, pneumonia=0.9, warnings=(BORDERS,))
    assert answers(client, image) == [{"label": "PNEUMONIA", "result_group": "positive", "reliable": True}] * 4


@pytest.mark.parametrize("has_label", [True, False])
def test_a_department_can_label_ages_outside_training_but_never_as_reliable(make_department, read, has_label):
    clerk = User.objects.create_user("clerk", password=PASSWORD)
    department = make_department("radiology", uploader=clerk)
    department.label_outside_training = has_label
    department.save()
    browser = Client()
    browser.force_login(clerk)
    browser.upload_study({"a.jpg": JPEG}, department="radiology")
    image = Image.objects.get()
    read(image, pneumonia=0.9, warnings=(OUTSIDE,))
    expected = (
        {"label": "PNEUMONIA", "result_group": "positive"} if has_label else {"label": None, "result_group": "unusable"}
    )
    assert answers(browser, image) == [{**expected, "reliable": False}] * 4
    page = browser.get(image.get_absolute_url()).content.decode()
    heading = "Outside the model&#x27;s ages: Signs of pneumonia" if has_label else "Outside the model&#x27;s ages</h1>"
    assert heading in page
    assert ("90.0 %" in page) is has_label
    assert page.index(OUTSIDE["detail"]) < page.index("This is not a diagnosis")
    assert page.index(OUTSIDE["detail"]) < page.index('<figure class="film"'), "the warning stands above the picture"
    assert "What this answer means" not in page, "performance at these ages was never measured"
    assert 'class="answer unusable"' in page, "in a neutral colour"


def test_predict_takes_an_age_and_returns_the_same_result(client, read):
    body = {"image": base64.b64encode(JPEG).decode(), "age": 64, "view": "PA"}
    assert client.post("/predict", body, content_type="application/json").json()["code"] == "not_read_in_time"
    image = Image.objects.get()
    assert (image.age_years, image.view) == (64, "PA")
    read(image, pneumonia=0.01, warnings=(OUTSIDE,))
    answer = client.get(f"/predict/{predict.sign(image, image.guest)}").json()
    assert (answer["label"], answer["result_group"], answer["reliable"]) == (None, "unusable", False)
    assert [warning["code"] for warning in answer["warnings"]] == ["age_outside_training"]


def test_tiles_show_an_age_outside_training_instead_of_the_result(client, read):
    image = Image.objects.get(pk=client.upload().json()["id"])
    read(image, pneumonia=0.01, warnings=(OUTSIDE,))
    home = client.get("/").content.decode()
    assert '<span class="tag unusable">Outside the model&#x27;s ages</span>' in home
    assert "No signs of pneumonia found</" not in home  # the script has the sentence without a closing tag


# --- tables of results ----------------------------------------------------------------------------------------------

#: Scripts depend on this order: new columns go to the end.
COLUMNS = [
    "row", "filename", "patient", "status", "label", "probability", "threshold", "model", "warnings", "error_code",
    "error_detail", "created_at", "finished_at", "id", "url", "result_group", "reliable", "age", "view", "comment",
    "operating_point", "width", "height", "verdicts", "stat", "review_stage", "verdict", "verdict_kind", "final_group",
    "final_by",
]  # fmt: skip


@pytest.fixture
def reviewed(make_department, read):
    """A browser signed in as a reader, and a department's study of one image with two verdicts."""
    people = {name: User.objects.create_user(name, password=PASSWORD) for name in ("ann", "bob")}
    department = make_department("radiology", manager=people["ann"], reader=people["bob"])
    ann = Client()
    ann.force_login(people["ann"])
    study = ann.upload_study({"a.jpg": JPEG}, name="Ward 3: Ölüdeniz/“May”", department=department.slug, age="3").json()
    image = Image.objects.get()
    Image.objects.filter(pk=image.pk).update(width=160, height=120, view="PA")
    read(image, pneumonia=0.75)
    for name, verdict in (("ann", "PNEUMONIA"), ("bob", "NORMAL")):
        Review.objects.create(image=image, reviewer=people[name], verdict=verdict)
    return ann, study


def test_the_csv_table_keeps_the_order_of_its_columns(reviewed):
    browser, study = reviewed
    answer = browser.get(study["results_url"])
    rows = csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig")))
    [row] = rows
    assert rows.fieldnames == COLUMNS
    assert (row["age"], row["view"], row["operating_point"]) == ("3", "PA", "balanced")
    assert (row["width"], row["height"]) == ("160", "120")
    assert row["verdicts"] == "PNEUMONIA (ann); NORMAL (bob)"


def test_the_json_lines_have_the_same_columns_with_typed_values(reviewed):
    browser, study = reviewed
    answer = browser.get(f"{study['url']}results.jsonl")
    assert answer["Content-Type"] == "application/x-ndjson"
    [line] = answer.getvalue().decode().splitlines()
    row = json.loads(line)
    assert list(row) == COLUMNS[1:]
    assert (row["probability"], row["reliable"], row["age"], row["width"]) == (0.75, True, 3.0, 160)
    assert (row["comment"], row["warnings"]) == (None, [])
    assert row["verdicts"] == [
        {"reviewer": "ann", "verdict": "PNEUMONIA", "comment": ""},
        {"reviewer": "bob", "verdict": "NORMAL", "comment": ""},
    ]


def test_files_are_named_after_the_study(reviewed, client):
    browser, study = reviewed
    disposition = browser.get(study["results_url"])["Content-Disposition"]
    assert disposition == "attachment; filename*=utf-8''Ward%203-%20%C3%96l%C3%BCdeniz-%E2%80%9CMay%E2%80%9D.csv"
    assert browser.get(f"{study['url']}results.jsonl")["Content-Disposition"].endswith(".jsonl")
    plain = client.upload_study({"a.jpg": JPEG}, name="ward 3").json()
    assert client.get(plain["results_url"])["Content-Disposition"] == 'attachment; filename="ward 3.csv"'
    dots = client.upload_study({"a.jpg": JPEG}, name="../..").json()
    assert client.get(dots["results_url"])["Content-Disposition"] == 'attachment; filename="-.csv"'


def test_a_guest_sees_no_verdicts(client, read, user):
    study = client.upload_study({"a.jpg": JPEG}).json()
    image = Image.objects.get()
    read(image)
    Review.objects.create(image=image, reviewer=user, verdict="NORMAL")
    [row] = csv.DictReader(io.StringIO(client.get(study["results_url"]).getvalue().decode("utf-8-sig")))
    assert row["verdicts"] == ""
    assert json.loads(client.get(f"{study['url']}results.jsonl").getvalue())["verdicts"] is None


def test_a_failed_image_and_a_zip_have_json_lines_too(client, zipped):
    study = client.upload_study({"a.zip": zipped, "b.txt": b"no image"}).json()
    lines = [json.loads(line) for line in client.get(f"{study['url']}results.jsonl").getvalue().splitlines()]
    assert [(line["filename"], line["status"], line["label"]) for line in lines] == [
        ("a.zip", Status.QUEUED, None), ("b.txt", Status.FAILED, None),
    ]  # fmt: skip
    assert lines[1]["error_code"] == "not_an_image"
