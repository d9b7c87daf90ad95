"""Invitations: links with which one person registers, or joins something such as a department.

Only a hash of the link's secret is stored. Apps that depend on this one know what can be joined: they store an id and a
role in the invitation, and listen to :data:`accepted`.
"""

import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import Signal
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from webapp.accounts.identity import Identity
from webapp.accounts.models import Invitation
from webapp.accounts.tokens import digest
from webapp.audit.models import Action
from webapp.audit.services import record, record_each
from webapp.refusals import Refused

#: Signal with ``invitation`` and ``user``, sent in the transaction that marks the invitation as accepted.
accepted = Signal()
#: Session key for the invitation that the browser has opened, kept until the user registers.
SESSION_KEY = "invitation"


@transaction.atomic
def invite(
    identity: Identity, email: str = "", *, department_id: UUID | None = None, role: str = "", purpose: str = ""
) -> tuple[Invitation, str]:
    """Create an invitation, and mail it if it has an address and the service sends mail.

    Args:
        identity: the inviting user. The caller checks their permission.
        email: the invited person's address; empty for a link that is passed on in another way.
        department_id: the department that the person joins, if any.
        role: the role in that department.
        purpose: what the invitation is for, as shown to the invited person.

    Returns:
        The invitation and its link, which cannot be retrieved later.

    Raises:
        Refused: ``registration_closed``.
    """
    if settings.REGISTRATION == "closed":
        raise Refused("registration_closed", "Nobody can register here, so nobody can be invited.")
    key = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        digest=digest(key),
        email=email,
        invited_by=identity.user,
        department_id=department_id,
        role=role,
        purpose=purpose,
        expires_at=timezone.now() + timedelta(days=settings.INVITATION_DAYS),
    )
    record(identity, Action.INVITE, invitation)
    link = settings.PUBLIC_URL + reverse("invitation", args=[key])
    if email and settings.EMAIL_URL:
        text = render_to_string("accounts/email/invitation.txt", {"invitation": invitation, "link": link})
        subject = f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{gettext('Your invitation')}"
        # The inviting user sees the link even if the mail cannot be sent.
        transaction.on_commit(lambda: send_mail(subject, text, None, [email]), robust=True)
    return invitation, link


def open_ones() -> "QuerySet[Invitation]":
    """Invitations that can still be accepted, newest first. The inviting user's account has to be active."""
    valid = Invitation.objects.filter(accepted_at=None, expires_at__gt=timezone.now(), invited_by__is_active=True)
    return valid.select_related("invited_by").order_by("-created_at")


def find(key: str) -> Invitation | None:
    return open_ones().filter(digest=digest(key)).first()


def pending(request: HttpRequest) -> Invitation | None:
    """The invitation that this session has opened, if it can still be accepted."""
    key = request.session.get(SESSION_KEY)
    return find(key) if key else None


def accept_pending(request: HttpRequest, user: User) -> None:
    """Accept the invitation that this session has opened. Raises the errors of :func:`accept`."""
    accept(str(request.session.pop(SESSION_KEY, "")), user)


@transaction.atomic
def accept(key: str, user: User) -> Invitation:
    """Mark an invitation as accepted, and let the user join what it is for.

    Raises:
        Refused: ``invitation_not_valid`` if it does not exist, has expired, was revoked or used, or the inviting user
            may no longer invite.
    """
    invitation = find(key)
    now, unused = timezone.now(), Invitation.objects.filter(digest=digest(key), accepted_at=None)
    if invitation is None or not unused.update(accepted_at=now, accepted_by=user):
        raise Refused(
            "invitation_not_valid", "This invitation has been used or revoked, or has expired. Please get another link."
        )
    accepted.send(sender=Invitation, invitation=invitation, user=user)
    return invitation


@transaction.atomic
def revoke(identity: Identity, invitations: "QuerySet[Invitation]") -> int:
    """Delete the invitations that were not accepted.

    Returns:
        The number of deleted invitations.
    """
    revoked = list(invitations.filter(accepted_at=None))
    record_each(identity, Action.DELETE, revoked)
    Invitation.objects.filter(pk__in=[invitation.pk for invitation in revoked], accepted_at=None).delete()
    return len(revoked)


def delete_expired() -> int:
    """Delete expired invitations, whether accepted or not."""
    return Invitation.objects.filter(expires_at__lt=timezone.now()).delete()[0]
