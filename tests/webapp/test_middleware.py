"""The middleware that every request passes, under asyncio as in production and in a thread."""

import asyncio

import httpx
import pytest
from django.db import connection
from django.test import Client
from prometheus_client import REGISTRY

from tests import synthetic
from webapp.config.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)


def by_asyncio(method, path, *, host="testserver", **more):
    async def ask():
        transport = httpx.ASGITransport(application, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.request(method, path, **more)

    try:
        return asyncio.run(ask())
    finally:
        connection.close()


def by_thread(method, path, *, host="testserver", files=None, **more):
    client = Client(enforce_csrf_checks=True, raise_request_exception=False, headers={"Host": host})
    return client.generic(method, path, "" if files is None else "x=1", "application/x-www-form-urlencoded", **more)


@pytest.fixture(params=[by_asyncio, by_thread], ids=["asyncio", "thread"])
def ask(request):
    return request.param


def metric(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("GET", "/", "testserver", 200),
        ("GET", "/healthz", "testserver", 200),
        ("GET", "/api/v1/images/", "testserver", 200),
        ("GET", "/", "elsewhere.example", 400),
        ("GET", "/api/v1/images/", "elsewhere.example", 400),
        ("POST", "/upload/", "testserver", 403),
        ("GET", "/nowhere", "testserver", 404),
        ("GET", "/metrics", "testserver", 500),
        ("GET", "/admin", "testserver", 301),
    ],
)
def test_every_response_has_the_security_headers(ask, monkeypatch, method, path, host, status):
    monkeypatch.setattr("webapp.ops.metrics.exposition", lambda: 1 / 0)
    page = ask(method, path, host=host)
    assert page.status_code == status
    assert page.headers["X-Request-ID"]
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]


def test_a_form_of_another_site_is_refused(ask):
    answer = ask("POST", "/upload/", files={"files": ("a.jpeg", synthetic.xray_jpeg(size=(80, 80)))})
    assert answer.status_code == 403


def test_a_missing_slash_is_added(ask):
    answer = ask("GET", "/admin")
    assert answer.status_code in (301, 302)
    assert answer.headers["Location"] == "/admin/"


def test_requests_are_counted_by_view(ask):
    series = "django_http_requests_total_by_view_transport_method_total"
    labels = {"view": "home", "transport": "http", "method": "GET"}
    before = metric(series, **labels)
    ask("GET", "/")
    assert metric(series, **labels) == before + 1


def test_exceptions_are_counted(ask, monkeypatch):
    monkeypatch.setattr("webapp.ops.metrics.exposition", lambda: 1 / 0)
    before = metric("django_http_exceptions_total_by_type_total", type="ZeroDivisionError")
    assert ask("GET", "/metrics").status_code == 500
    assert metric("django_http_exceptions_total_by_type_total", type="ZeroDivisionError") == before + 1
