"""Send one event to one webhook."""

import json
from typing import Any

import httpx
from django.conf import settings
from django.utils import timezone
from standardwebhooks.webhooks import Webhook as Signer

from webapp.departments.models import Department
from webapp.fhir.bundles import bundle
from webapp.notifications import outgoing, sealing
from webapp.notifications.models import Payload, Webhook
from webapp.notifications.services import TEST
from webapp.notifications.subjects import may_know, subject_of
from webapp.refusals import Refused
from webapp.studies import progress
from webapp.studies.models import Image, Study
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError

#: Time limit for the whole request. The body of the response is not read.
TIMEOUT_SECONDS = 10


def send(delivery: Delivery) -> str:
    """Send a delivery to its webhook, and store the outcome.

    Returns:
        The outcome: the status of the receiver's response.

    Raises:
        NotDeliveredError: it was not delivered.
        ObsoleteError: the webhook or its subject was deleted, or the webhook's owner may no longer see the subject.
    """
    webhook = Webhook.objects.select_related("user").filter(pk=delivery.destination).first()
    if webhook is None:
        raise ObsoleteError("its webhook was deleted")
    body = json.dumps(_body(delivery.payload, webhook), ensure_ascii=False).encode()
    if not webhook.active:
        raise NotDeliveredError("the webhook is inactive", permanent=True)
    try:
        status = _post(webhook, delivery.payload["event_id"], body)
        _check(status)
    except NotDeliveredError as error:
        _note(webhook, str(error))
        raise
    outcome = f"answered {status}"
    _note(webhook, outcome)
    return outcome


def _body(payload: dict[str, Any], webhook: Webhook) -> dict[str, Any]:
    """The request's body. It has no patient and no finding, unless the webhook is set to get them as FHIR. Other
    receivers can request the study with their own token.

    Raises:
        ObsoleteError: the subject was deleted, or the webhook's owner may no longer see it.
    """
    body = {"event": payload["event"], "id": payload["event_id"], "created_at": payload["created_at"]}
    if payload["event"] == TEST:
        return body
    subject = subject_of(payload)
    if webhook.user and not may_know(webhook.user, subject):
        raise ObsoleteError("the webhook's owner may not see it any more")
    if isinstance(subject, Department):
        return {**body, "department": {**_department(subject), "about": payload["about"]}}
    if isinstance(subject, Image):
        return {**body, "image": _image(subject)}
    body["study"] = _study(subject)
    if webhook.payload != Payload.IDS:
        body["fhir"] = _fhir(subject, webhook.payload)
    return body


def _fhir(study: Study, content: str) -> dict[str, Any] | None:
    """The study's current results; None if it has too many for one message."""
    try:
        return bundle(study, content.removeprefix("fhir-"))
    except Refused:
        return None


def _department(department: Department) -> dict[str, Any]:
    url = f"{settings.PUBLIC_URL}/api/v1/agreement/?department={department.slug}"
    return {"slug": department.slug, "url": url}


def _image(image: Image) -> dict[str, Any]:
    study = f"{settings.PUBLIC_URL}/api/v1/studies/{image.study_id}/" if image.study_id else None
    url = f"{settings.PUBLIC_URL}/api/v1/images/{image.pk}/"
    return {"id": str(image.pk), "url": url, "status": image.status, "study_url": study}


def _study(study: Study) -> dict[str, Any]:
    current = progress.current_progress(study)
    return {
        "id": str(study.pk),
        # Without reverse(), because workers load no views.
        "url": f"{settings.PUBLIC_URL}/api/v1/studies/{study.pk}/",
        "name": study.name,
        "status": current.status,
        "total": current.total,
        "counts": current.counts,
        # Only their number: a file's name may be a patient's.
        "failed_archives": len(current.errors),
    }


def _post(webhook: Webhook, event_id: str, body: bytes) -> int:
    """Sign and send a body.

    Returns:
        The status of the response.
    """
    now = timezone.now()
    try:
        signature = Signer(sealing.unseal(webhook.sealed_secret)).sign(event_id, now, body.decode())
    except sealing.UnreadableSecretError:
        reason = "SECRET_KEY has changed, so that the secret cannot be read; add the webhook anew"
        raise NotDeliveredError(reason, permanent=True) from None
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"PneumoQueue/{settings.VERSION}",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    return outgoing.ask("POST", webhook.url, headers, body, seconds=TIMEOUT_SECONDS).status


def _check(status: int) -> None:
    if status // 100 != 2:
        raise NotDeliveredError(f"answered {status}", permanent=status == httpx.codes.GONE)


def _note(webhook: Webhook, outcome: str) -> None:
    """Store the outcome for the owner to see. A webhook whose receiver is gone for good becomes inactive."""
    changes: dict[str, Any] = {"last_attempt_at": timezone.now(), "last_outcome": outcome[:200]}
    if outcome == f"answered {httpx.codes.GONE.value}":
        changes["active"] = False
    Webhook.objects.filter(pk=webhook.pk).update(**changes)
