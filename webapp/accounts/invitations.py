"""Invitations: a link that lets one person register, or join what the invitation is to.

Only a hash of the link's secret is kept. What an invitation is to, such as a department, is known to apps above this
one: they keep an id and a role in it, and listen to :data:`accepted`.
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

#: Sent with ``invitation`` and ``user``, in the transaction that uses the invitation up.
accepted = Signal()
#: The key of the session under which a browser keeps the invitation that it was opened with, until it registers.
SESSION_KEY = "invitation"


@transaction.atomic
def invite(
    by: Identity, email: str = "", *, department_id: UUID | None = None, role: str = "", purpose: str = ""
) -> tuple[Invitation, str]:
    """Make an invitation, and send it where there is an address and the service sends mail.

    Args:
        by: who invites. Whether they may is the caller's to ask.
        email: whom; empty for a link that is passed on in another way.
        department_id: the department that is joined with it, if any.
        role: the role in that department.
        purpose: what the invitation is for, as shown to the invited person.

    Returns:
        The invitation, and its link, which cannot be had again.

    Raises:
        Refused: ``registration_closed``.
    """
    if settings.REGISTRATION == "closed":
        raise Refused("registration_closed", "Nobody can register here, so nobody can be invited.")
    key = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        digest=digest(key),
        email=email,
        invited_by=by.user,
        department_id=department_id,
        role=role,
        purpose=purpose,
        expires_at=timezone.now() + timedelta(days=settings.INVITATION_DAYS),
    )
    record(by, Action.INVITE, invitation)
    link = settings.PUBLIC_URL + reverse("invitation", args=[key])
    if email and settings.EMAIL_URL:
        text = render_to_string("accounts/email/invitation.txt", {"invitation": invitation, "link": link})
        subject = f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{gettext('Your invitation')}"
        # Whoever invites sees the link, also where the mail cannot be sent.
        transaction.on_commit(lambda: send_mail(subject, text, None, [email]), robust=True)
    return invitation, link


def open_ones() -> "QuerySet[Invitation]":
    """Invitations that can still be accepted, the newest first: they end with the account of whoever invited."""
    found = Invitation.objects.filter(accepted_at=None, expires_at__gt=timezone.now(), invited_by__is_active=True)
    return found.select_related("invited_by").order_by("-created_at")


def find(key: str) -> Invitation | None:
    return open_ones().filter(digest=digest(key)).first()


def pending(request: HttpRequest) -> Invitation | None:
    """The invitation that a browser was opened with, while it can still be accepted."""
    key = request.session.get(SESSION_KEY)
    return find(key) if key else None


def accept_pending(request: HttpRequest, user: User) -> None:
    """Accept the invitation that a browser was opened with; errors as of :func:`accept`."""
    accept(str(request.session.pop(SESSION_KEY, "")), user)


@transaction.atomic
def accept(key: str, user: User) -> Invitation:
    """Use an invitation up, and let the user join what it is to.

    Raises:
        Refused: ``invitation_not_valid``: there is none, it has expired, was revoked or has been used, or whoever
            invited may not do so any more.
    """
    invitation = find(key)
    now, unused = timezone.now(), Invitation.objects.filter(digest=digest(key), accepted_at=None)
    if invitation is None or not unused.update(accepted_at=now, accepted_by=user):
        raise Refused(
            "invitation_not_valid", "This invitation has been used, revoked, or is too old. Get another link."
        )
    accepted.send(sender=Invitation, invitation=invitation, user=user)
    return invitation


@transaction.atomic
def revoke(by: Identity, invitations: "QuerySet[Invitation]") -> int:
    """Delete invitations that were not accepted.

    Returns:
        How many there were.
    """
    revoked = list(invitations.filter(accepted_at=None))
    record_each(by, Action.DELETE, revoked)
    Invitation.objects.filter(pk__in=[one.pk for one in revoked], accepted_at=None).delete()
    return len(revoked)


def delete_expired() -> int:
    """Delete invitations of which the time is over, accepted or not."""
    return Invitation.objects.filter(expires_at__lt=timezone.now()).delete()[0]
