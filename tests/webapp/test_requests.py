"""Requests of every odd kind: they are answered, or refused with a code, and nothing that was sent is lost."""

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


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [None, "text/html", "application/json"])
@pytest.mark.parametrize(("path", "name"), [("/api/v1/images", "file"), ("/api/v1/studies", "files")])
def test_an_upload_to_an_address_without_its_slash_is_taken(client, path, name, accept):
    headers = {"Accept": accept} if accept else None
    answer = client.post(path, {name: SimpleUploadedFile("a.jpg", JPEG)}, headers=headers)
    assert answer.status_code == 202
    assert f"{path}/" in answer.json()["url"]


def test_every_address_of_the_api_has_both_forms(client, problem):
    job = client.upload().json()
    detail = job["url"].removeprefix("http://testserver")
    assert client.get(detail.rstrip("/")).json()["id"] == job["id"]
    assert client.get("/api/v1/images").status_code == 200
    problem(client.get(f"{detail}preview"), 404, "not_found")
    problem(client.get(f"{detail}heatmap.png/"), 404, "no_heatmap")
    problem(client.post("/predict/", {"image": "aaaa"}, content_type=JSON), 415, "not_an_image")
    problem(client.get("/api/v1/image"), 404, "not_found")
    assert client.get("/upload").status_code == 301  # a page that has no slash is still sent to the one that has
    assert client.delete(detail.rstrip("/")).status_code == 204
    assert not Image.objects.exists()


def test_a_form_to_a_page_without_its_slash_is_taken(client):
    answer = client.post("/upload", {"files": SimpleUploadedFile("a.jpg", JPEG)}, headers={"Accept": "text/html"})
    assert answer.status_code == 302
    assert Image.objects.count() == 1


def test_the_same_key_counts_with_and_without_the_slash(client):
    key = {"Idempotency-Key": "one"}
    client.get("/")
    jobs = [
        client.post(path, {"file": SimpleUploadedFile("a.jpg", JPEG)}, headers=key).json()["id"]
        for path in (IMAGES, IMAGES.rstrip("/"))
    ]
    assert jobs[0] == jobs[1]


def test_both_forms_of_an_address_have_the_same_limit():
    study = f"/api/v1/studies/{uuid4()}/images/"
    for path in (IMAGES, STUDIES, study, "/upload/", "/predict/"):
        assert bodies.limit(path) == bodies.limit(path.rstrip("/")) > bodies.limit("/api/v1/other/")


def test_an_unknown_host_is_refused_and_names_the_setting(client, problem, settings):
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


def test_a_null_character_in_a_cookie_or_path_does_not_reach_it_either(client, problem):
    problem(client.get(IMAGES, headers={"Cookie": r'sessionid="\000aaaaaaaaaa"'}), 400, "malformed_request")
    problem(client.get(f"{IMAGES}%00/"), 400, "malformed_request")


@pytest.mark.parametrize(
    "method",
    ["get", "post", *(pytest.param(name, marks=pytest.mark.long) for name in
     ("head", "options", "trace", "put", "patch", "delete"))],
)  # fmt: skip
def test_every_method_has_an_answer_everywhere(user_client, user, make_study, method):
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
def test_a_compressed_body_is_refused_and_not_taken_for_a_form(client, problem, encoding):
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + JPEG + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    answer = client.post(IMAGES, gzip.compress(form), content_type=kind, headers={"Content-Encoding": encoding})
    problem(answer, 415, "content_encoding_not_supported")
    assert client.post(IMAGES, form, content_type=kind, headers={"Content-Encoding": "identity"}).status_code == 202


@pytest.mark.parametrize("kind", ["application/octet-stream", "image/jpeg", "", "nonsense", "text/plain"])
@pytest.mark.parametrize("path", [IMAGES, STUDIES])
def test_a_bare_file_is_no_form(client, problem, path, kind):
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
def test_json_of_another_shape_is_invalid(user_client, problem, value):
    problem(user_client.post("/predict", value, content_type=JSON), 400, "invalid_request")
    problem(user_client.post(TOKEN_URL, value, content_type=JSON), 400, "invalid_request")


def test_json_with_whole_characters_beyond_16_bits_is_read(user_client, problem):
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
def test_predict_takes_an_image_however_it_is_written_as_text(text):
    assert predict._decode(text) == JPEG


@pytest.mark.parametrize("text", ["%", "a", "aaaaa", "aa=a", "=", "ä", "a.aa", "data:image/jpeg;base64,%%%", "a" * 33])
def test_predict_refuses_what_is_not_base64(client, problem, text):
    if text == "=":  # no bytes
        assert predict._decode(text) == b""
        return
    answer = client.post("/predict", json.dumps({"image": text}), content_type=JSON)
    problem(answer, 400, "invalid_base64")


# --- parameters and what is asked for -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "-1", "abc", "", "0x1", "1&wait=two"])
def test_a_time_to_wait_that_is_none_is_refused(client, problem, value):
    for url in (client.upload().json()["url"], client.upload_study({"a.jpg": JPEG}).json()["url"]):
        problem(client.get(f"{url}?wait={value}"), 400, "invalid_parameter")


@pytest.mark.django_db(transaction=True)
def test_a_time_to_wait_that_is_none_is_refused_where_requests_wait():
    async def scenario(by):
        job = (await by.post(IMAGES, files={"file": ("a.jpg", JPEG)})).json()
        return (await by.get(f"{job['url']}?wait=nan")).json()["code"], (
            await by.get(f"{job['url']}?wait=0.1")
        ).status_code

    assert browse(scenario) == ("invalid_parameter", 200)


@pytest.mark.parametrize("value", ["0", "-1", "abc", "1.5", "9" * 5000, "1e3", "%EF%BC%91", ""])
@pytest.mark.parametrize("path", [IMAGES, STUDIES, "/api/v1/patients/", "/api/v1/webhooks/"])
def test_a_size_of_pages_that_is_none_is_refused(user_client, problem, path, value):
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
def test_an_address_sends_what_it_serves_whatever_is_asked_for(client, make_image, read, problem, accept):
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


def test_the_schema_can_still_be_had_in_two_formats(client, monkeypatch):
    described = openapi.document()
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda *args, **options: described)
    assert client.get("/api/schema/?format=json").json()["openapi"]
    assert client.get("/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()["openapi"]
    assert client.get("/api/schema/", headers={"Accept": "text/html"}).content.startswith(b"openapi:")


@pytest.mark.parametrize("pk", ["7", "0" * 36, "%FF", "../images", "A" * 1000, "{id}"])
def test_an_id_that_is_none_is_not_found(client, problem, pk):
    for path in (f"{IMAGES}{pk}/", f"{STUDIES}{pk}/", f"/api/v1/patients/{pk}/", f"{IMAGES}{pk}/cancel/"):
        problem(client.get(path), 404, "not_found")
    assert not Study.objects.exists()


# --- pages of other websites ----------------------------------------------------------------------------------------

OTHER = "https://ris.example.org"


def preflight(client, path: str = IMAGES):
    asked = {"Origin": OTHER, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-job-token"}
    return client.options(path, headers=asked)


def test_no_other_website_uses_the_api_unless_it_is_listed(client):
    assert "Access-Control-Allow-Origin" not in preflight(client)
    assert "Access-Control-Allow-Origin" not in client.get(IMAGES, headers={"Origin": OTHER})


def test_a_listed_website_uses_the_api_without_cookies(client, settings):
    settings.CORS_ALLOWED_ORIGINS = [OTHER]
    answer = preflight(client)
    assert answer["Access-Control-Allow-Origin"] == OTHER
    assert "x-job-token" in answer["Access-Control-Allow-Headers"]
    for one in (client.get(IMAGES, headers={"Origin": OTHER}), client.upload(b"", headers={"Origin": OTHER})):
        assert one["Access-Control-Allow-Origin"] == OTHER, "also where it is refused"
        assert "Access-Control-Allow-Credentials" not in one
    assert "Access-Control-Allow-Origin" not in preflight(client, "/upload/")
    assert "Access-Control-Allow-Origin" not in client.get(IMAGES, headers={"Origin": "https://evil.example"})
