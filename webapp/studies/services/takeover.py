"""Move a guest's uploads to the user who signs in or registers with the same browser."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils.translation import ngettext

from webapp.accounts import identity as identities
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services.judging import judge_again
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)
#: Sent with ``guest`` and ``user``, in the same transaction.
taken_over = Signal()


def on_sign_in(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Receive Django's ``user_logged_in``. A request for an API token starts no session, so nothing is taken over."""
    if request.session.get(SESSION_KEY) != str(user.pk):
        return
    guest = identities.read_token(request.COOKIES.get(settings.GUEST_COOKIE, ""))
    if guest is None:
        return
    studies, images = take_over(guest, user)
    if images:
        text = ngettext(
            "%(n)s image from before you signed in is now yours.",
            "%(n)s images from before you signed in are now yours.",
            images,
        )
        messages.success(request, text % {"n": images}, fail_silently=True)
    elif studies:
        text = ngettext(
            "%(n)s study from before you signed in is now yours.",
            "%(n)s studies from before you signed in are now yours.",
            studies,
        )
        messages.success(request, text % {"n": studies}, fail_silently=True)


@atomically
def take_over(guest: UUID, user: User) -> tuple[int, int]:
    """Move a guest's images, studies and patients to a user, and revoke the guest's token.

    Returns:
        The numbers of studies and images that were moved.
    """
    owner: dict[str, Any] = {"guest": None, "owner": user}
    for patient in Patient.objects.filter(guest=guest):
        existing = Patient.objects.filter(owner=user, identifier=patient.identifier).first()
        if existing is None:
            Patient.objects.filter(pk=patient.pk).update(**owner)
            continue
        patient.images.update(patient=existing)
        patient.studies.update(patient=existing)
        patient.delete()
        judge_again(Image.objects.filter(patient=existing, age_years=None))
    moved = _move(Study, "study_uid", guest, owner), _move(Image, "instance_uid", guest, owner)
    taken_over.send(None, guest=guest, user=user)
    identities.revoke(guest)
    if any(moved):
        logger.info("user %s takes over %d studies and %d images of a guest", user.pk, *moved)
    return moved


def _move(model: Any, uid: str, guest: UUID, owner: dict[str, Any]) -> int:
    rows = model.objects.filter(guest=guest)
    uids = list(rows.exclude(**{uid: None}).values_list(uid, flat=True))
    duplicates = list(model.objects.filter(owner=owner["owner"], **{f"{uid}__in": uids}).values_list(uid, flat=True))
    # If the user already has a row with the same UID, that row keeps it and the guest's row loses it.
    rows.filter(**{f"{uid}__in": duplicates}).update(**{uid: None})
    return int(rows.update(**owner))
