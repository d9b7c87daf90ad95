"""Send the objects of a result to one destination by STOW-RS (PS3.18 10.5)."""

import base64
import io
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.conf import settings
from pydicom import Dataset

from webapp import sealing
from webapp.dicom.models import Destination, SignIn
from webapp.dicom.services.destinations import SECRETS
from webapp.notifications import outgoing
from webapp.studies.outbox.services import NotDeliveredError
from worker.deliver.dicom.answers import refusal

#: Seconds for a request and its response, well below the task's time limit.
TOTAL_SECONDS = 25
#: Largest number of bytes of a response that are read. It has some hundred bytes for each object.
MOST = 2**18
JSON = "application/dicom+json"
# Tags in the response.
FAILED, REFERENCED, UID, REASON = "00081198", "00081199", "00081155", "00081197"
STORED = (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT)


def transfer(destination: Destination, objects: Sequence[Dataset]) -> str:
    """Store objects at a destination by one request; without objects, only test the connection by a search.

    Returns:
        The destination's answer.

    Raises:
        NotDeliveredError: not everything was stored. Everything is sent again; the destination recognises objects that
            it has by their UIDs.
    """
    url = f"{destination.url.rstrip('/')}/studies"
    headers = {"Accept": JSON, "User-Agent": f"PneumoQueue/{settings.VERSION}", **_sign_in(destination)}
    if not objects:
        response = outgoing.ask("GET", f"{url}?limit=1", headers, seconds=TOTAL_SECONDS)
        if response.status // 100 != 2:
            raise NotDeliveredError(f"answered {response.status}")
        return "answered the test"
    boundary = uuid4().hex
    headers["Content-Type"] = f'multipart/related; type="application/dicom"; boundary={boundary}'
    response = outgoing.ask("POST", url, headers, _body(objects, boundary), seconds=TOTAL_SECONDS, most=MOST)
    _check(response, objects)
    return f"stored {', '.join(dataset.Modality for dataset in objects)}"


def _sign_in(destination: Destination) -> dict[str, str]:
    """The header that authenticates us."""
    if destination.sign_in == SignIn.NONE:
        return {}
    try:
        secret = sealing.unseal(destination.sealed_secret, SECRETS)
    except sealing.UnreadableSecretError:
        reason = "SECRET_KEY has changed, so that the secret cannot be read; give it again"
        raise NotDeliveredError(reason, permanent=True) from None
    if destination.sign_in == SignIn.HEADER:
        return {destination.sign_in_name: secret}
    if destination.sign_in == SignIn.BEARER:
        return {"Authorization": f"Bearer {secret}"}
    credentials = base64.b64encode(f"{destination.sign_in_name}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {credentials}"}


def _body(objects: Sequence[Dataset], boundary: str) -> bytes:
    body = io.BytesIO()
    for dataset in objects:
        body.write(f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode())
        part = io.BytesIO()
        dataset.save_as(part, enforce_file_format=True)
        body.write(part.getvalue() + b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue()


def _check(response: outgoing.Answer, objects: Sequence[Dataset]) -> None:
    if response.status not in STORED:
        raise NotDeliveredError(f"answered {response.status}")
    stored, failed = _read_response(response)
    for dataset in objects:
        name = dataset.SOPClassUID.name
        if dataset.SOPInstanceUID in failed:
            raise refusal(name, failed[dataset.SOPInstanceUID])
        if dataset.SOPInstanceUID not in stored:
            raise NotDeliveredError(f"the destination does not say that it has stored {name}")


def _read_response(http_response: outgoing.Answer) -> tuple[set[str], dict[str, int]]:
    """The UIDs of the stored objects, and the reason of each failure (PS3.18 10.5.3.2)."""
    try:
        response = json.loads(http_response.body)
        stored = {_first(item, UID) for item in response.get(REFERENCED, {}).get("Value", ())}
        failed = {_first(item, UID): int(_first(item, REASON)) for item in response.get(FAILED, {}).get("Value", ())}
    except (ValueError, TypeError, LookupError, AttributeError):
        reason = f"answered {http_response.status}, and does not say in DICOM's JSON what it has stored"
        raise NotDeliveredError(reason) from None
    return stored, failed


def _first(item: Any, tag: str) -> Any:
    return item[tag]["Value"][0]
