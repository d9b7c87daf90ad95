"""Unusual and malformed requests: each is answered or refused with a code, and no upload is lost."""

import base64
import gzip
import json
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from drf_spectacular.generators import SchemaGenerator

from tests.asgi import browse
from tests.webapp import openapi
from tests.webapp.clients import IMAGES, JPEG, STUDIES
from webapp.http import bodies
from webapp.studies.api import predict
from webapp.studies.models import Image, Study

JSON = "application/json"
TOKEN_URL = "/api/v1/auth/token/"


# --- URLs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [None, "text/html", "application/json"])
@pytest.mark.parametrize(("path", "name"), [("/api/v1/images", "file"), ("/api/v1/studies", "files")])
def test_an_upload_to_a_url_without_its_slash_is_accepted(client, path, name, accept):
    headers = {"Accept": accept} if accept else None
    answer = client.post(path, {name: SimpleUploadedFile("a.jpg", JPEG)}, headers=headers)
    assert answer.status_code == 202
    assert f"{path}/" in answer.json()["url"]


def test_every_api_url_works_with_and_without_its_slash(client, problem):
    job = client.upload().json()
    detail = job["url"].removeprefix("http://testserver")
    assert client.get(detail.rstrip("/")).json()["id"] == job["id"]
    assert client.get("/api/v1/images").status_code == 200
    problem(client.get(f"{detail}preview"), 404, "not_found")
    problem(client.get(f"{detail}heatmap.png/"), 404, "no_heatmap")
    problem(client.post("/predict/", {"image": "aaaa"}, content_type=JSON), 415, "not_an_image")
    problem(client.get("/api/v1/image"), 404, "not_found")
    assert client.get("/upload").status_code == 301  # a page without its slash is redirected
    assert client.delete(detail.rstrip("/")).status_code == 204
    assert not Image.objects.exists()


def test_a_form_sent_to_a_page_without_its_slash_is_accepted(client):
    answer = client.post("/upload", {"files": SimpleUploadedFile("a.jpg", JPEG)}, headers={"Accept": "text/html"})
    assert answer.status_code == 302
    assert Image.objects.count() == 1


def test_an_idempotency_key_counts_with_and_without_the_slash(client):
    key = {"Idempotency-Key": "one"}
    client.get("/")
    jobs = [
        client.post(path, {"file": SimpleUploadedFile("a.jpg", JPEG)}, headers=key).json()["id"]
        for path in (IMAGES, IMAGES.rstrip("/"))
    ]
    assert jobs[0] == jobs[1]


def test_a_url_has_the_same_size_limit_with_and_without_its_slash():
    study = f"/api/v1/studies/{uuid4()}/images/"
    for path in (IMAGES, STUDIES, study, "/upload/", "/predict/"):
        assert bodies.limit(path) == bodies.limit(path.rstrip("/")) > bodies.limit("/api/v1/other/")


def test_an_unknown_host_is_refused_with_the_name_of_the_setting(client, problem, settings):
    settings.ALLOWED_HOSTS = ["xray.example"]
    document = problem(client.get(IMAGES, headers={"Host": "other.example"}), 400, "host_not_allowed")
    assert "ALLOWED_HOSTS" in document["detail"]
    answer = client.upload(headers={"Host": "other.example"})
    problem(answer, 400, "host_not_allowed")
    assert answer["X-Content-Type-Options"] == "nosniff"
    problem(client.get("/healthz", headers={"Host": "other.example", "Accept": "*/*"}), 400, "host_not_allowed")
    page = client.get("/", headers={"Host": "a b<script>", "Accept": "text/html"})
    assert page.status_code == 400
    assert b"ALLOWED_HOSTS" in page.content
    assert b"<script" not in page.content
    assert not Image.objects.exists()


@pytest.mark.parametrize("path", [f"{IMAGES}?search=%00", f"{STUDIES}?cursor=%00", "/?page=%00", "/admin/?q=a%00b"])
def test_null_characters_do_not_reach_the_database(client, problem, path):
    problem(client.get(path, headers={"Accept": JSON}), 400, "malformed_request")


def test_null_characters_in_cookies_and_paths_do_not_reach_the_database(client, problem):
    problem(client.get(IMAGES, headers={"Cookie": r'sessionid="\000aaaaaaaaaa"'}), 400, "malformed_request")
    problem(client.get(f"{IMAGES}%00/"), 400, "malformed_request")


@pytest.mark.parametrize(
    "method",
    ["get", "post", *(pytest.param(name, marks=pytest.mark.long) for name in
     ("head", "options", "trace", "put", "patch", "delete"))],
)  # fmt: skip
def test_no_method_fails_at_any_url(user_client, user, make_study, method):
    client, study = user_client, make_study("queued", owner=user)
    image = study.images.get()
    for path in (
        IMAGES, STUDIES, f"/api/v1/webhooks/{uuid4()}/", f"/api/v1/webhooks/{uuid4()}/test/",
        "/api/v1/patients/", "/api/v1/webhooks/", "/api/v1/reviews/export.zip", TOKEN_URL, "/predict",
        f"{IMAGES}{image.pk}/", f"{IMAGES}{image.pk}/cancel/", f"{IMAGES}{image.pk}/preview/",
        f"{IMAGES}{image.pk}/heatmap.png", f"{IMAGES}{image.pk}/reviews/", f"{STUDIES}{study.pk}/",
        f"{STUDIES}{study.pk}/results.csv", f"{STUDIES}{study.pk}/images/", "/", "/upload/", "/healthz", "/readyz",
        "/metrics", "/api/schema/", "/api/docs/", f"/images/{image.pk}/", f"/studies/{study.pk}/",
    ):  # fmt: skip
        answer = getattr(client, method)(path)
        assert answer.status_code < 500 or path == "/readyz", (method, path)
        if answer.status_code == 405 and method != "options":
            assert method.upper() not in answer["Allow"]


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "x"])
def test_a_compressed_body_is_refused_and_not_parsed_as_a_form(client, problem, encoding):
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + JPEG + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    answer = client.post(IMAGES, gzip.compress(form), content_type=kind, headers={"Content-Encoding": encoding})
    problem(answer, 415, "content_encoding_not_supported")
    assert client.post(IMAGES, form, content_type=kind, headers={"Content-Encoding": "identity"}).status_code == 202


@pytest.mark.parametrize("kind", ["application/octet-stream", "image/jpeg", "", "nonsense", "text/plain"])
@pytest.mark.parametrize("path", [IMAGES, STUDIES])
def test_a_bare_file_as_body_is_refused(client, problem, path, kind):
    problem(client.post(path, JPEG, content_type=kind), 415, "unsupported_request_format")


DEEP = 100_000
ODD_JSON = {
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep within a field": b'{"image":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "half a character": rb'{"image": "\ud800", "username": "\ud800", "password": "x", "events": ["\udfff"]}',
    "half a character as a name": rb'{"\udbff": 1}',
    "a number of 5,000 digits": b'{"image":' + b"9" * 5000 + b"}",
    "not a number": b'{"image": NaN}',
    "infinite": b'{"image": -Infinity}',
    "another character set": '{"image": "\xe4"}'.encode("latin-1"),
    "cut": b'{"image": "aa',
    "null bytes": b"\0\0\0\0",
}


@pytest.mark.parametrize("body", ODD_JSON.values(), ids=ODD_JSON)
@pytest.mark.parametrize("path", ["/predict", TOKEN_URL, "/api/v1/webhooks/"])
def test_json_that_cannot_be_read_is_malformed(user_client, problem, path, body):
    problem(user_client.post(path, body, content_type=JSON), 400, "malformed_request")


@pytest.mark.parametrize("value", [
    "null", "[]", '"a"', "5", "true", '{"image": null}', '{"image": {}}', '{"image": []}', '{"image": "a\\u0000"}',
    '{"image": "aaaa", "department": "\\u0000"}', "{}"])  # fmt: skip
def test_json_of_an_unexpected_shape_is_invalid(user_client, problem, value):
    problem(user_client.post("/predict", value, content_type=JSON), 400, "invalid_request")
    problem(user_client.post(TOKEN_URL, value, content_type=JSON), 400, "invalid_request")


def test_json_with_a_surrogate_pair_or_a_byte_order_mark_is_read(user_client, problem):
    problem(user_client.post("/predict", rb'{"image": "aaaa", "note": "\ud83e\ude7b"}', content_type=JSON), 415,
            "not_an_image")  # fmt: skip
    problem(user_client.post("/predict", '{"image": "aaaa"}'.encode("utf-8-sig"), content_type=JSON), 415,
            "not_an_image")  # fmt: skip


PLAIN = base64.b64encode(JPEG).decode()
URL_SAFE = base64.urlsafe_b64encode(JPEG).decode()


@pytest.mark.parametrize(
    "text",
    [PLAIN, URL_SAFE, PLAIN.rstrip("="), URL_SAFE.rstrip("="), PLAIN.rstrip("=") + "===", f"  {PLAIN}\n",
     "\r\n".join(PLAIN[i : i + 76] for i in range(0, len(PLAIN), 76)), f"data:image/jpeg;base64,{PLAIN}",
     f"data:image/jpeg;base64,{URL_SAFE}", f"DATA:image/jpeg;name=a.jpg;BASE64,{PLAIN}", f"data:;base64,{PLAIN}",
     f"data:image/jpeg;base64,{quote(PLAIN, safe='')}", f"data:image/jpeg,{quote(JPEG)}"],
)  # fmt: skip
def test_predict_accepts_every_form_of_base64_and_data_urls(text):
    assert predict._decode(text) == JPEG


@pytest.mark.parametrize("text", ["%", "a", "aaaaa", "aa=a", "=", "ä", "a.aa", "data:image/jpeg;base64,%%%", "a" * 33])
def test_predict_refuses_what_is_not_base64(client, problem, text):
    if text == "=":  # no bytes
        assert predict._decode(text) == b""
        return
    answer = client.post("/predict", json.dumps({"image": text}), content_type=JSON)
    problem(answer, 400, "invalid_base64")


# --- parameters and the Accept header -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "-1", "abc", "", "0x1", "1&wait=two"])
def test_an_invalid_wait_time_is_refused(client, problem, value):
    for url in (client.upload().json()["url"], client.upload_study({"a.jpg": JPEG}).json()["url"]):
        problem(client.get(f"{url}?wait={value}"), 400, "invalid_parameter")


@pytest.mark.django_db(transaction=True)
def test_an_invalid_wait_time_is_refused_by_the_waiting_application():
    async def scenario(browser):
        job = (await browser.post(IMAGES, files={"file": ("a.jpg", JPEG)})).json()
        return (await browser.get(f"{job['url']}?wait=nan")).json()["code"], (
            await browser.get(f"{job['url']}?wait=0.1")
        ).status_code

    assert browse(scenario) == ("invalid_parameter", 200)


@pytest.mark.parametrize("value", ["0", "-1", "abc", "1.5", "9" * 5000, "1e3", "%EF%BC%91", ""])
@pytest.mark.parametrize("path", [IMAGES, STUDIES, "/api/v1/patients/", "/api/v1/webhooks/"])
def test_an_invalid_page_size_is_refused(user_client, problem, path, value):
    problem(user_client.get(f"{path}?page_size={value}"), 400, "invalid_parameter")
    assert user_client.get(f"{path}?page_size=100000").status_code == 200


ACCEPTS = [
    "text/csv",
    "image/png",
    "text/html",
    "application/xml",
    "application/json;q=0.1, text/csv",
    "*/*;q=0",
    "foo",
    "",
]


@pytest.mark.parametrize("accept", ACCEPTS)
def test_the_accept_header_does_not_change_what_a_url_serves(client, make_image, read, problem, accept):
    headers = {"Accept": accept}
    study = client.upload_study({"a.jpg": JPEG}).json()
    assert client.get(IMAGES, headers=headers)["Content-Type"] == "application/json"
    assert client.get(study["results_url"], headers=headers)["Content-Type"].startswith("text/csv")
    assert client.upload(headers=headers).status_code == 202
    problem(client.get(f"{IMAGES}{uuid4()}/preview/", headers=headers), 404, "not_found")
    problem(client.get(f"{IMAGES}?format=csv", headers=headers), 400, "unknown_parameter")
    image = make_image("ready", guest=Image.objects.first().guest, width=64, height=64)
    read(image, heatmap=bytes(196))
    picture = client.get(f"{IMAGES}{image.pk}/heatmap.png", headers=headers)
    assert (picture.status_code, picture["Content-Type"]) == (200, "image/png")


def test_the_schema_is_available_in_two_formats(client, monkeypatch):
    described = openapi.document()
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda *args, **options: described)
    assert client.get("/api/schema/?format=json").json()["openapi"]
    assert client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()["openapi"]
    assert client.get("/api/schema/", headers={"Accept": "text/html"}).content.startswith(b"openapi:")


@pytest.mark.parametrize("pk", ["7", "0" * 36, "%FF", "../images", "A" * 1000, "{id}"])
def test_an_invalid_id_is_not_found(client, problem, pk):
    for path in (f"{IMAGES}{pk}/", f"{STUDIES}{pk}/", f"/api/v1/patients/{pk}/", f"{IMAGES}{pk}/cancel/"):
        problem(client.get(path), 404, "not_found")
    assert not Study.objects.exists()


# --- requests from other websites -----------------------------------------------------------------------------------

OTHER = "https://ris.example.org"


def preflight(client, path: str = IMAGES):
    headers = {
        "Origin": OTHER,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-job-token",
    }
    return client.options(path, headers=headers)


def test_another_website_cannot_use_the_api_unless_it_is_listed(client):
    assert "Access-Control-Allow-Origin" not in preflight(client)
    assert "Access-Control-Allow-Origin" not in client.get(IMAGES, headers={"Origin": OTHER})


def test_a_listed_website_uses_the_api_without_cookies(client, settings):
    settings.CORS_ALLOWED_ORIGINS = [OTHER]
    answer = preflight(client)
    assert answer["Access-Control-Allow-Origin"] == OTHER
    assert "x-job-token" in answer["Access-Control-Allow-Headers"]
    for response in (client.get(IMAGES, headers={"Origin": OTHER}), client.upload(b"", headers={"Origin": OTHER})):
        assert response["Access-Control-Allow-Origin"] == OTHER, "also on a refusal"
        assert "Access-Control-Allow-Credentials" not in response
    assert "Access-Control-Allow-Origin" not in preflight(client, "/upload/")
    assert "Access-Control-Allow-Origin" not in client.get(IMAGES, headers={"Origin": "https://evil.example"})
