"""Programs get a problem document for every error."""

from uuid import uuid4

import pytest
from django.conf import settings as configured
from django.core.files.uploadedfile import SimpleUploadedFile

from webapp.studies.services import uploads


@pytest.mark.parametrize(
    "path",
    ["/api/v1/images/{}/", "/api/v1/images/{}/preview/", "/api/v1/images/{}/input/",
     "/api/v1/images/{}/heatmap.png", "/api/v1/images/{}/original/", "/api/v1/images/{}/report.pdf",
     "/api/v1/studies/{}/",
     "/api/v1/studies/{}/images/", "/api/v1/studies/{}/results.csv"],
)  # fmt: skip
def test_a_missing_object_is_not_found(client, staff_client, problem, path):
    problem(client.get(path.format(uuid4())), 404, "not_found")
    problem(staff_client.get(path.format(uuid4())), 404, "not_found")


@pytest.mark.parametrize("kind", ["images", "studies"])
def test_cancelling_a_missing_object_is_not_found(client, problem, kind):
    problem(client.post(f"/api/v1/{kind}/{uuid4()}/cancel/"), 404, "not_found")


@pytest.mark.parametrize("path", ["/api/v1/images/7/", "/api/v1/nothing/", "/api/nothing"])
def test_an_unknown_address_of_the_api_is_always_a_problem_document(client, problem, path):
    problem(client.get(path, headers={"Accept": "text/html"}), 404, "not_found")


def test_an_unknown_address_elsewhere_is_a_page_or_a_problem_document(client, problem):
    problem(client.get("/nothing", headers={"Accept": "application/json"}), 404, "not_found")
    page = client.get("/nothing", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert page["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("delete", "/api/v1/images/"),
        ("post", "/api/v1/images/{}/"),
        ("put", "/api/v1/images/{}/"),
        ("get", "/api/v1/images/{}/cancel/"),
        ("post", "/api/v1/images/{}/preview/"),
        ("put", "/api/v1/studies/"),
        ("put", "/api/v1/studies/{}/"),
        ("post", "/api/v1/studies/{}/results.csv"),
        ("get", "/api/v1/auth/token/"),
        ("get", "/predict"),
    ],
)
def test_a_wrong_method_is_refused_with_the_allowed_methods(client, problem, method, path):
    answer = getattr(client, method)(path.format(uuid4()))
    problem(answer, 405, "method_not_allowed")
    assert method.upper() not in answer["Allow"]


def test_an_address_that_only_takes_forms_says_so_on_a_page(client, problem):
    page = client.get("/worklist/mark/", headers={"Accept": "text/html"})
    assert page.status_code == 405
    assert page["Allow"] == "POST"
    assert b"<h1>This could not be done</h1>" in page.content
    assert b"it only takes what a form sends" in page.content
    problem(client.get("/worklist/mark/", headers={"Accept": "application/json"}), 405, "method_not_allowed")


@pytest.mark.parametrize("url", ["/api/v1/images/", "/api/v1/studies/"])
def test_uploads_must_be_forms_and_not_json(client, problem, url):
    problem(client.post(url, {"file": "abc"}, content_type="application/json"), 415, "unsupported_request_format")


@pytest.mark.parametrize("url", ["/api/v1/images/", "/api/v1/studies/"])
def test_a_malformed_form_is_a_problem(client, problem, url):
    answer = client.post(url, b"no form at all", content_type="multipart/form-data; boundary=")
    problem(answer, 400, "malformed_request")


def test_malformed_json_is_a_problem(client, problem):
    problem(client.post("/predict", b"{", content_type="application/json"), 400, "malformed_request")
    problem(client.post("/api/v1/auth/token/", b"{", content_type="application/json"), 400, "malformed_request")


def test_more_files_than_allowed_are_a_problem(client, settings, problem):
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    files = [SimpleUploadedFile(f"{n}.jpg", b"x") for n in range(3)]
    problem(client.post("/api/v1/studies/", {"files": files}), 413, "too_many_files")


def test_more_form_fields_than_allowed_are_a_problem(client, settings, problem):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    problem(client.post("/api/v1/images/", {str(n): "x" for n in range(5)}), 400, "malformed_request")


def test_a_server_error_is_a_problem_without_internal_details(client, monkeypatch, problem):
    def break_down(*args, **kwargs):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(uploads, "create_image", break_down)
    client.raise_request_exception = False
    answer = client.upload()
    problem(answer, 500, "internal_error")
    assert b"secret" not in answer.content


def test_every_response_has_the_content_security_policy(client):
    for path in ("/api/v1/images/", "/healthz", "/api/nothing", f"/api/v1/images/{uuid4()}/"):
        policy = client.get(path)["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy


def test_django_is_not_in_debug_mode():
    assert configured.DEBUG is False
