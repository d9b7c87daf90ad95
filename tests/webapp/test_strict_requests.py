"""A request that does not match the API's description is refused."""

import base64
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests import synthetic

pytestmark = pytest.mark.django_db
PICTURE = base64.b64encode(synthetic.xray_jpeg(size=(160, 120))).decode()


@pytest.mark.parametrize(
    ("url", "body", "field"),
    [
        ("/predict", {"image": PICTURE, "age": False}, "age"),
        ("/predict", {"image": PICTURE, "department": 0}, "department"),
        ("/api/v1/patients/", {"identifier": 7}, "identifier"),
        ("/api/v1/patients/", {"identifier": True}, "identifier"),
        ("/api/v1/patients/", {"identifier": "7", "name": 1.5}, "name"),
        ("/api/v1/patients/", {"identifier": "7", "birthdate": "2024-05-04"}, "birthdate"),
    ],
)
def test_values_of_the_wrong_type_and_unknown_fields_are_refused(
    client: Client, url: str, body: dict[str, Any], field: str
) -> None:
    answer = client.post(url, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert list(answer.json()["errors"]) == [field]


def test_forms_are_accepted_only_by_urls_that_always_accepted_them(client: Client) -> None:
    assert client.post("/api/v1/patients/", {"identifier": "7"}).status_code == 415
    answer = client.post("/api/v1/auth/token/", {"username": "nobody", "password": "wrong"})
    assert answer.json()["code"] != "unsupported_media_type"


@pytest.mark.parametrize("value", ["yes", "1", "on", "null", "True"])
def test_a_flag_must_be_true_or_false(client: Client, value: str) -> None:
    file = SimpleUploadedFile("chest.jpeg", synthetic.xray_jpeg(size=(160, 120)))
    answer = client.post("/api/v1/images/", {"file": file, "stat": value})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["stat"])
