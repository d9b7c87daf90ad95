"""What a guest has uploaded becomes theirs when they sign in with the same browser."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.http import HttpRequest

from webapp.accounts import identity as identities
from webapp.studies.models import Image, Patient, Study
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)


def on_sign_in(sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Receiver of Django's ``user_logged_in``. A request for an API token starts no session and takes nothing over."""
    if request.session.get(SESSION_KEY) != str(user.pk):
        return
    if guest := identities.read_token(request.COOKIES.get(settings.GUEST_COOKIE, "")):
        take_over(guest, user)


@atomically
def take_over(guest: UUID, user: User) -> None:
    """Make a guest's images, studies and patients the user's."""
    owner: dict[str, Any] = {"guest": None, "owner": user}
    for patient in Patient.objects.filter(guest=guest):
        same = Patient.objects.filter(owner=user, identifier=patient.identifier).first()
        if same is None:
            Patient.objects.filter(pk=patient.pk).update(**owner)
            continue
        # The guest's patient, without images now, goes when the guest's rows are purged.
        patient.images.update(patient=same)
        patient.studies.update(patient=same)
    moved = [_move(model, uid, guest, owner) for model, uid in ((Study, "study_uid"), (Image, "instance_uid"))]
    if any(moved):
        logger.info("user %s takes over %d studies and %d images of a guest", user.pk, *moved)


def _move(model: Any, uid: str, guest: UUID, owner: dict[str, Any]) -> int:
    theirs = model.objects.filter(guest=guest)
    uids = list(theirs.exclude(**{uid: None}).values_list(uid, flat=True))
    taken = list(model.objects.filter(owner=owner["owner"], **{f"{uid}__in": uids}).values_list(uid, flat=True))
    # What the user has under that UID already goes on being what it names.
    theirs.filter(**{f"{uid}__in": taken}).update(**{uid: None})
    return int(theirs.update(**owner))
