"""The identity behind a request: a signed-in user, a guest, or nobody yet.

A guest is a random id. A guest's token is this id, signed together with the time; anyone who has it sees the guest's
uploads. A program sends it in the header ``X-Job-Token``, a browser in a cookie. It expires after ``GUEST_TOKEN_DAYS``
and can be revoked.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner

from webapp.accounts.models import RevokedGuest
from webapp.refusals import Refused

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest, HttpResponseBase

HEADER = "X-Job-Token"
#: The header and the form field in which a page sends its user: see :func:`require_page_user`.
PAGE_USER, PAGE_USER_FIELD = "X-Page-User", "page_user"
_signer = TimestampSigner(salt="pneumoqueue.guest")


@dataclass(frozen=True)
class Identity:
    """The user or guest behind a request.

    Attributes:
        user: the signed-in user, if any.
        guest: the guest's id, if there is one and no user.
        address: the client's address, if there is a request.
        token: the name of the request's API token, for the audit.
    """

    user: "User | None" = None
    guest: UUID | None = None
    address: str = field(default="", compare=False)
    token: str = field(default="", compare=False)

    @property
    def is_guest(self) -> bool:
        return self.user is None


def identify(request: "HttpRequest | Any") -> Identity:
    """The identity behind a Django or REST Framework request.

    Raises:
        Refused: ``invalid_job_token`` for a job token that this service did not sign, that has expired or was revoked;
            ``signed_out`` or ``session_changed`` for a page that was rendered for another user.
    """
    require_page_user(request, request.headers.get(PAGE_USER))
    address = client_address(request)
    if request.user.is_authenticated:
        token_used = getattr(request, "auth", None)
        return Identity(user=cast("User", request.user), address=address, token=str(token_used or ""))
    token = request.headers.get(HEADER)
    if token is not None:
        guest = read_token(token)
        if guest is None:
            raise Refused("invalid_job_token", "This job token is not valid or has expired.")
        return Identity(guest=guest, address=address)
    return Identity(guest=read_token(request.COOKIES.get(settings.GUEST_COOKIE, "")), address=address)


def page_user(request: "HttpRequest | Any") -> str:
    """The user for whom a page is rendered. The page sends this value with its uploads."""
    return str(request.user.pk) if request.user.is_authenticated else "guest"


def require_page_user(request: "HttpRequest | Any", claimed: str | None) -> None:
    """Refuse a request from a page whose user has signed out or changed: the upload would get the wrong owner.

    Args:
        request: Django's or REST Framework's.
        claimed: :func:`page_user` at the time the page was rendered; None if the request does not come from a page.

    Raises:
        Refused: ``signed_out`` or ``session_changed``.
    """
    if claimed is None or claimed == page_user(request):
        return
    if not request.user.is_authenticated:
        raise Refused(
            "signed_out",
            "You are no longer signed in, so nothing was done. Please sign in again, and then send it again.",
        )
    raise Refused(
        "session_changed",
        f"You have signed in as {request.user.get_username()} since this page was opened, so nothing was done. Please "
        "reload the page, and then send it again.",
    )


def client_address(request: "HttpRequest | Any") -> str:
    """The client's address as seen by the outermost trusted proxy. For IPv6, return the /64 network, because clients
    choose addresses within it freely.
    """
    proxies = settings.REST_FRAMEWORK["NUM_PROXIES"]
    forwarded = request.headers.get("x-forwarded-for", "").split(",")
    if proxies and forwarded[0]:
        text = str(forwarded[-min(proxies, len(forwarded))].strip())
    else:
        text = str(request.META.get("REMOTE_ADDR", ""))
    try:
        address = IPv6Address(text.partition("%")[0])
    except ValueError:
        return text
    return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False).network_address)


def ensure(identity: Identity) -> Identity:
    """The same identity, or a new guest if it has neither user nor guest."""
    return identity if identity.user or identity.guest else replace(identity, guest=uuid4())


def make_token(guest: UUID) -> str:
    return _signer.sign(guest.hex)


def read_token(token: str) -> UUID | None:
    """The guest whom a token identifies; None if its signature is wrong, or it has expired or was revoked."""
    try:
        guest = UUID(_signer.unsign(token, max_age=timedelta(days=settings.GUEST_TOKEN_DAYS)))
    except (BadSignature, ValueError):
        return None
    return None if is_revoked(guest) else guest


def is_revoked(guest: UUID) -> bool:
    return RevokedGuest.objects.filter(pk=guest).exists()


def require_current(identity: Identity) -> None:
    """Refuse a guest who has signed in, or given up the token, since the request began: what is stored for such a guest
    would belong to nobody.

    Raises:
        Refused: ``session_changed``.
    """
    if identity.guest and is_revoked(identity.guest):
        raise Refused(
            "session_changed",
            "This guest has signed in or revoked the token, so nothing was stored. Please send it again.",
        )


def revoke(guest: UUID) -> None:
    """Revoke all tokens of a guest. The guest's uploads are kept, and only administrators see them."""
    RevokedGuest.objects.get_or_create(guest=guest)


def remember(response: "HttpResponseBase", identity: Identity) -> None:
    """Store the guest's token in a cookie, so that the browser finds the guest's uploads again."""
    if identity.guest:
        response.set_cookie(
            settings.GUEST_COOKIE,
            make_token(identity.guest),
            max_age=timedelta(days=settings.GUEST_TOKEN_DAYS),
            secure=settings.SECURE_COOKIES,
            httponly=True,
            samesite="Lax",
        )
