"""Requests that are repeated, and those that are not."""

import email.utils
import io
import time

import httpx
import pytest
from pneumoqueue.errors import NotSignedIn, Refused, Unreachable
from pneumoqueue.server import Server

from tests.client.conftest import URL, problem

PAUSES: list[float] = []


def server(*answers, patience=120.0):
    """A server that gives these answers one after the other."""
    PAUSES.clear()
    remaining = list(answers)

    def answer(request):
        response = remaining.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    return Server(URL, "t", patience=patience, transport=httpx.MockTransport(answer), sleep=PAUSES.append)


FINE = httpx.Response(200, json={"fine": True})
BROKEN = httpx.ConnectError("refused")


def test_a_request_is_repeated_with_growing_pauses_until_it_is_answered():
    assert server(BROKEN, httpx.ReadError(""), problem(503, "storage_unavailable"), FINE).get("/") == {"fine": True}
    assert len(PAUSES) == 3
    assert all(low <= pause <= 2 * low for low, pause in zip((0.25, 0.5, 1), PAUSES, strict=True))


def test_retry_after_is_honoured():
    assert server(problem(429, "rate_limited", **{"Retry-After": "17"}), FINE).get("/") == {"fine": True}
    assert PAUSES == [17]


def test_retry_after_may_be_a_date():
    at = email.utils.formatdate(time.time() + 60, usegmt=True)
    server(problem(429, "rate_limited", **{"Retry-After": at}), FINE).get("/")
    assert 55 < PAUSES[0] <= 60


def test_a_wait_longer_than_the_patience_fails_at_once_with_the_servers_message():
    with pytest.raises(Unreachable, match=r"This is daily_limit_reached\. \(daily_limit_reached\)"):
        server(problem(429, "daily_limit_reached", **{"Retry-After": "3600"})).get("/")
    assert not PAUSES


def test_retries_end_with_the_patience():
    with pytest.raises(Unreachable, match="cannot be reached: refused"):
        server(*[BROKEN] * 100, patience=10).get("/")
    assert 3.75 <= sum(PAUSES) <= 10


def test_a_429_without_a_time_is_not_repeated():
    with pytest.raises(Refused, match="locked_out"):
        server(problem(429, "locked_out")).get("/")


@pytest.mark.parametrize(("status", "error"), [(400, Refused), (401, NotSignedIn), (404, Refused), (500, Refused)])
def test_final_answers_are_not_retried(status, error):
    with pytest.raises(error):
        server(problem(status, "some_code")).get("/")
    assert not PAUSES


def test_a_proxys_error_page_is_recognised_by_its_status():
    with pytest.raises(Refused, match=r"Request Entity Too Large\. \(http_413\)"):
        server(httpx.Response(413, text="<html>")).get("/")


def test_a_redirect_is_reported_with_the_new_address():
    with pytest.raises(Unreachable, match=r"https://new\.example/"):
        server(httpx.Response(301, headers={"Location": "https://new.example/"})).get("/")


def test_next_pages_are_requested_from_the_same_server_whatever_their_address():
    requested = []

    def answer(request):
        requested.append(str(request.url))
        next_url = "http://inside:8000/api/v1/studies/?cursor=abc" if len(requested) == 1 else None
        return httpx.Response(200, json={"next": next_url, "results": [len(requested)]})

    pages = Server(URL, "t", transport=httpx.MockTransport(answer)).pages("/api/v1/studies/", page_size=1)
    assert list(pages) == [1, 2]
    assert requested == [f"{URL}/api/v1/studies/?page_size=1", f"{URL}/api/v1/studies/?cursor=abc"]


def test_a_broken_download_starts_again():
    class Breaks(httpx.SyncByteStream):
        def __iter__(self):
            yield b"half"
            raise httpx.ReadError("")

    file = io.BytesIO()
    server(httpx.Response(200, stream=Breaks()), httpx.Response(200, content=b"all of it")).download("/", file)
    assert file.getvalue() == b"all of it"
