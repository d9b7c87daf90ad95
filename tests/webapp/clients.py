"""Clients of the service, and what they send."""

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
    """A client whose requests end with what happens on commit, although the test's own transaction goes on."""

    def request(self, **request: Any) -> Any:
        with TestCase.captureOnCommitCallbacks(execute=True):
            return super().request(**request)

    def upload(self, content: bytes | None = None, filename: str = "chest.jpg", **more: Any) -> Any:
        """Post one image; ``headers`` are the request's, everything else is a field."""
        headers = more.pop("headers", None)
        content = JPEG if content is None else content
        return self.post(IMAGES, {"file": SimpleUploadedFile(filename, content), **more}, headers=headers)

    def upload_study(self, files: dict[str, bytes], **more: Any) -> Any:
        headers = more.pop("headers", None)
        sent = [SimpleUploadedFile(name, content) for name, content in files.items()]
        return self.post(STUDIES, {"files": sent, **more}, headers=headers)


def token_headers(user: User) -> dict[str, str]:
    """The headers of a program with a new token of a user."""
    key = tokens.issue(user)
    user.api_tokens.update(last_used_on=timezone.now().date())  # the first use of a day is written
    return {"Authorization": f"Token {key}"}


def checked_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Assert that an answer is a problem document (RFC 9457), and return it."""
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
