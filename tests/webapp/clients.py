"""Test clients of the service, and the files and headers that they send."""

from typing import Any

from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as DjangoClient
from django.test import TestCase
from django.utils import timezone

from tests import synthetic
from webapp.accounts import tokens

IMAGES = "/api/v1/images/"
STUDIES = "/api/v1/studies/"
PASSWORD = "a long enough password"
JPEG = synthetic.xray_jpeg(size=(160, 120))
PNG = synthetic.xray_png(size=(160, 120))


class Client(DjangoClient):
    """A client that runs ``on_commit`` callbacks after each request, although the test's transaction stays open."""

    def request(self, **request: Any) -> Any:
        with TestCase.captureOnCommitCallbacks(execute=True):
            return super().request(**request)

    def upload(self, content: bytes | None = None, filename: str = "chest.jpg", **more: Any) -> Any:
        """Post one image. ``headers`` are the request's headers; every other keyword argument is a form field."""
        headers = more.pop("headers", None)
        content = JPEG if content is None else content
        return self.post(IMAGES, {"file": SimpleUploadedFile(filename, content), **more}, headers=headers)

    def upload_study(self, files: dict[str, bytes], **more: Any) -> Any:
        headers = more.pop("headers", None)
        uploads = [SimpleUploadedFile(name, content) for name, content in files.items()]
        return self.post(STUDIES, {"files": uploads, **more}, headers=headers)


def token_headers(user: User) -> dict[str, str]:
    """Headers of a program that uses a new token of this user."""
    key = tokens.issue(user)
    user.api_tokens.update(last_used_on=timezone.now().date())  # so that no request of the test has to write it
    return {"Authorization": f"Token {key}"}


def checked_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Assert that a response is a problem document (RFC 9457), and return the document."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"].startswith("urn:")
    assert document["type"].endswith(code)
    assert document["title"]
    assert len(document["detail"]) > 10
    return document
