"""Share studies and images, and end shares. Deleting a study or an image ends its shares too."""

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.accounts.tokens import digest
from webapp.audit import services as audit
from webapp.audit.models import Action
from webapp.departments.models import Membership
from webapp.refusals import Refused
from webapp.sharing.models import Share
from webapp.studies.models import Image, Study
from webapp.studies.transactions import atomically

#: Shortest and longest validity of a link, in days.
FEWEST_DAYS, MOST_DAYS = 1, 30
#: Largest number of shares of one study or image.
MAX_SHARES = 100


def shares_of(row: Study | Image) -> "QuerySet[Share]":
    """The shares of a study or an image, latest first, without expired links."""
    shares = Share.objects.filter(**_shared(row)).exclude(expires_at__lte=timezone.now())
    return shares.select_related("user", "created_by").order_by("-created_at", "-pk")


def shared_with(user: User) -> "QuerySet[Share]":
    """The shares that others have created for a user."""
    return Share.objects.filter(user=user).select_related("study__patient", "image__patient", "created_by")


@atomically
def share_with(identity: Identity, row: Study | Image, username: str) -> Share:
    """Let a user see a study or an image.

    Raises:
        Refused: ``not_allowed`` for a guest, ``no_such_user`` or ``too_many_shares``.
    """
    if identity.user is None:
        raise Refused("not_allowed", "Only users with an account can share with a colleague. Please share a link.")
    user = User.objects.filter(username=username.strip(), is_active=True).first()
    if user is None or user == identity.user:
        raise Refused("no_such_user", "There is no other account with this name. Please ask your colleague for theirs.")
    _check_number(row)
    share, _ = Share.objects.get_or_create(**_shared(row), user=user, defaults={"created_by": identity.user})
    audit.record(identity, Action.SHARE, row, share=share.pk, user=user.pk)
    return share


@atomically
def share_by_link(identity: Identity, row: Study | Image, days: int) -> tuple[Share, str]:
    """Let anyone who has a link see a study or an image for some days.

    Returns:
        The share, and the token at the end of the link, which is stored nowhere.

    Raises:
        Refused: ``invalid_expiry`` or ``too_many_shares``.
    """
    if not FEWEST_DAYS <= days <= MOST_DAYS:
        raise Refused("invalid_expiry", f"A link is valid for {FEWEST_DAYS} to {MOST_DAYS} days.")
    _check_number(row)
    token = secrets.token_urlsafe(32)
    end = timezone.now() + timedelta(days=days)
    share = Share.objects.create(**_shared(row), token_hash=digest(token), expires_at=end, created_by=identity.user)
    audit.record(identity, Action.SHARE, row, share=share.pk, days=days)
    return share, token


def find(token: str) -> Share | None:
    """The share behind a link; None if it does not exist or has expired, or its creator's account is disabled."""
    links = Share.objects.filter(token_hash=digest(token)).exclude(created_by__is_active=False)
    share = links.select_related("study__patient", "image").first()
    return None if share is None or share.has_expired else share


@atomically
def revoke(identity: Identity, row: Study | Image, share_id: UUID) -> bool:
    """End a share of a study or an image.

    Returns:
        False if there is no such share.
    """
    deleted, _ = Share.objects.filter(**_shared(row), pk=share_id).delete()
    if deleted:
        audit.record(identity, Action.SHARE, row, share=share_id, revoked=True)
    return bool(deleted)


@atomically
def on_membership_end(sender: Any, instance: Membership, **kwargs: Any) -> None:
    """Receiver of Django's ``pre_delete``: the member's links to rows of the department end with the membership."""
    links = Share.objects.filter(created_by=instance.user_id, user=None)
    _end(links.filter(Q(study__department=instance.department_id) | Q(image__department=instance.department_id)))


@atomically
def on_account_deletion(sender: Any, instance: User, **kwargs: Any) -> None:
    """Receiver of Django's ``pre_delete``: all links of a person, such as an administrator's, end with the account."""
    _end(Share.objects.filter(created_by=instance, user=None))


def _end(links: "QuerySet[Share]") -> None:
    for share in links.select_related("study", "image"):
        audit.record(Identity(), Action.SHARE, share.shared, share=share.pk, revoked=True)
        share.delete()


def delete_expired() -> int:
    """Delete expired links."""
    return Share.objects.filter(expires_at__lte=timezone.now()).delete()[0]


def _shared(row: Study | Image) -> dict[str, Study | Image]:
    return {"study" if isinstance(row, Study) else "image": row}


def _check_number(row: Study | Image) -> None:
    if shares_of(row).count() >= MAX_SHARES:
        raise Refused("too_many_shares", f"This is already shared {MAX_SHARES} times. Please end one share first.")
