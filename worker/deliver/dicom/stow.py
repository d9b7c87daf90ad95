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

#: For one request with its answer, far from the limit of the task.
TOTAL_SECONDS = 25
#: Bytes of an answer that are read: it says some hundred bytes of each object.
MOST = 2**18
JSON = "application/dicom+json"
# Tags of the answer.
FAILED, REFERENCED, UID, REASON = "00081198", "00081199", "00081155", "00081197"
STORED = (HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT)


def transfer(destination: Destination, objects: Sequence[Dataset]) -> str:
    """Store objects at a destination by one request; without objects, only ask whether it is there, by a search.

    Returns:
        What it answered.

    Raises:
        NotDeliveredError: not everything was stored. What was is recognised by its UID when it is sent again.
    """
    url = f"{destination.url.rstrip('/')}/studies"
    headers = {"Accept": JSON, "User-Agent": f"PneumoQueue/{settings.VERSION}", **_sign_in(destination)}
    if not objects:
        answer = outgoing.ask("GET", f"{url}?limit=1", headers, seconds=TOTAL_SECONDS)
        if answer.status // 100 != 2:
            raise NotDeliveredError(f"answered {answer.status}")
        return "answered the test"
    boundary = uuid4().hex
    headers["Content-Type"] = f'multipart/related; type="application/dicom"; boundary={boundary}'
    answer = outgoing.ask("POST", url, headers, _body(objects, boundary), seconds=TOTAL_SECONDS, most=MOST)
    _check(answer, objects)
    return f"stored {', '.join(one.Modality for one in objects)}"


def _sign_in(destination: Destination) -> dict[str, str]:
    """The header that says who we are."""
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
    both = base64.b64encode(f"{destination.sign_in_name}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {both}"}


def _body(objects: Sequence[Dataset], boundary: str) -> bytes:
    body = io.BytesIO()
    for one in objects:
        body.write(f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode())
        part = io.BytesIO()
        one.save_as(part, enforce_file_format=True)
        body.write(part.getvalue() + b"\r\n")
    body.write(f"--{boundary}--\r\n".encode())
    return body.getvalue()


def _check(answer: outgoing.Answer, objects: Sequence[Dataset]) -> None:
    if answer.status not in STORED:
        raise NotDeliveredError(f"answered {answer.status}")
    stored, failed = _told(answer)
    for one in objects:
        name = one.SOPClassUID.name
        if one.SOPInstanceUID in failed:
            raise refusal(name, failed[one.SOPInstanceUID])
        if one.SOPInstanceUID not in stored:
            raise NotDeliveredError(f"the destination does not say that it has stored {name}")


def _told(answer: outgoing.Answer) -> tuple[set[str], dict[str, int]]:
    """The UIDs of what is stored, and the reason of each failure (PS3.18 10.5.3.2)."""
    try:
        said = json.loads(answer.body)
        stored = {_first(item, UID) for item in said.get(REFERENCED, {}).get("Value", ())}
        failed = {_first(item, UID): int(_first(item, REASON)) for item in said.get(FAILED, {}).get("Value", ())}
    except (ValueError, TypeError, LookupError, AttributeError):
        reason = f"answered {answer.status}, and does not say in DICOM's JSON what it has stored"
        raise NotDeliveredError(reason) from None
    return stored, failed


def _first(item: Any, tag: str) -> Any:
    return item[tag]["Value"][0]
