"""Rate limits of uploads, tokens and sign-ins."""

import pytest
from rest_framework.throttling import SimpleRateThrottle

from tests.webapp.clients import JPEG, PASSWORD
from webapp.studies.models import Image

TOKEN_URL = "/api/v1/auth/token/"

# --- rates ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def rates(monkeypatch):
    def limit(**changed):
        monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", {**SimpleRateThrottle.THROTTLE_RATES, **changed})

    return limit


def test_all_uploads_of_guests_are_limited_by_ip_address(client, new_client, rates, problem):
    rates(guest="3/min")
    assert client.upload().status_code == 202
    assert client.upload(b"", "empty.jpg").status_code == 400
    assert client.upload_study({"a.jpg": JPEG}).status_code == 202
    answer = client.upload()
    problem(answer, 429, "rate_limited")
    assert 0 < int(answer["Retry-After"]) <= 60
    problem(new_client().upload(), 429, "rate_limited")  # another guest, but the same address
    spoofed = new_client().upload(headers={"X-Forwarded-For": "1.2.3.4"})
    problem(spoofed, 429, "rate_limited")
    problem(client.post("/predict", {"image": ""}, content_type="application/json"), 429, "rate_limited")
    assert client.post("/api/v1/images/", REMOTE_ADDR="10.0.0.9").status_code == 400
    assert Image.objects.count() == 2


def test_behind_a_proxy_the_limit_counts_the_clients_address(client, rates, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    rates(guest="1/min")
    assert client.upload(headers={"X-Forwarded-For": "1.1.1.1"}).status_code == 202
    assert client.upload(headers={"X-Forwarded-For": "2.2.2.2"}).status_code == 202
    assert client.upload(headers={"X-Forwarded-For": "9.9.9.9, 2.2.2.2"}).status_code == 429


def test_an_ipv6_address_counts_as_its_network(new_client, rates, problem):
    def upload(address: str):
        return new_client(REMOTE_ADDR=address).upload()

    rates(guest="1/min")
    assert upload("2001:db8:1:2::1").status_code == 202
    problem(upload("2001:db8:1:2:ffff::2"), 429, "rate_limited")
    assert upload("2001:db8:1:3::1").status_code == 202
    assert upload("10.0.0.1").status_code == 202
    problem(upload("::ffff:10.0.0.1"), 429, "rate_limited")


def test_guessing_passwords_from_many_addresses_of_a_network_locks_the_network(new_client, settings, user):
    settings.AXES_FAILURE_LIMIT = 3

    def attempt(address: str, password: str = "wrong"):
        credentials = {"login": "ada", "password": password}
        return new_client(REMOTE_ADDR=address).post("/accounts/login/", credentials).status_code

    assert [attempt(f"2001:db8::{n}") for n in range(3)][-1] == 429
    assert attempt("2001:db8::77", PASSWORD) == 429
    assert attempt("2001:db8:0:1::77", PASSWORD) == 302


def test_reading_is_not_limited(client, rates):
    rates(guest="1/min")
    job = client.upload().json()
    assert all(client.get(job["url"]).status_code == 200 for _ in range(5))
    assert all(client.get("/api/v1/images/").status_code == 200 for _ in range(5))


def test_users_have_a_separate_limit_and_staff_none(client, user_client, staff_client, rates):
    rates(guest="1/min", user="2/min")
    assert [client.upload().status_code for _ in range(2)] == [202, 429]
    assert [user_client.upload().status_code for _ in range(3)] == [202, 202, 429]
    assert [staff_client.upload().status_code for _ in range(4)] == [202] * 4


def test_requests_for_tokens_are_limited(client, user, rates, problem):
    rates(login="2/min")
    for _ in range(2):
        client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD})
    problem(client.post(TOKEN_URL, {"username": "ada", "password": PASSWORD}), 429, "rate_limited")
