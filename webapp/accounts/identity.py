"""Who is asking: a signed-in user, a guest, or nobody yet.

A guest is a random id, signed. Whoever holds the signature sees what was uploaded under that id: a program in the
header ``X-Job-Token``, a browser in a cookie. Nothing is stored for it.
"""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

from django.conf import settings
from django.core.signing import BadSignature, Signer

from webapp.refusals import Refused

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.http import HttpRequest, HttpResponseBase

HEADER = "X-Job-Token"
_signer = Signer(salt="pneumoqueue.guest")


@dataclass(frozen=True)
class Identity:
    """Whose uploads a request may see and make.

    Attributes:
        user: the signed-in user, if any.
        guest: the guest's id, if there is one and no user.
        address: the client's, where a request came from one.
    """

    user: "User | None" = None
    guest: UUID | None = None
    address: str = field(default="", compare=False)

    @property
    def is_guest(self) -> bool:
        return self.user is None

    @property
    def is_limited(self) -> bool:
        """Whether there are limits on how much may be uploaded. Staff have none."""
        return self.user is None or not self.user.is_staff

    @property
    def sees_all(self) -> bool:
        """Staff see every upload."""
        return self.user is not None and self.user.is_staff


def identify(request: "HttpRequest | Any") -> Identity:
    """The identity behind a Django or REST Framework request.

    Raises:
        Refused: ``invalid_job_token`` for a job token that this service did not sign.
    """
    address = _address(request)
    if request.user.is_authenticated:
        return Identity(user=cast("User", request.user), address=address)
    token = request.headers.get(HEADER)
    if token:
        guest = read_token(token)
        if guest is None:
            raise Refused("invalid_job_token", "This job token is not valid.")
        return Identity(guest=guest, address=address)
    return Identity(guest=read_token(request.COOKIES.get(settings.GUEST_COOKIE, "")), address=address)


def _address(request: "HttpRequest | Any") -> str:
    """The client's address, as the nearest proxy that is ours has seen it."""
    proxies = settings.REST_FRAMEWORK["NUM_PROXIES"]
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if proxies and forwarded[0]:
        return str(forwarded[-min(proxies, len(forwarded))].strip())
    return str(request.META.get("REMOTE_ADDR", ""))


def ensure(identity: Identity) -> Identity:
    """The same identity, or a new guest where there is none yet."""
    return identity if identity.user or identity.guest else replace(identity, guest=uuid4())


def make_token(guest: UUID) -> str:
    return _signer.sign(guest.hex)


def read_token(token: str) -> UUID | None:
    """The guest whom a token names, or None where it is not one of ours."""
    try:
        return UUID(_signer.unsign(token))
    except (BadSignature, ValueError):
        return None


def remember(response: "HttpResponseBase", identity: Identity) -> None:
    """Let this browser find the guest's uploads again."""
    if identity.guest:
        response.set_cookie(
            settings.GUEST_COOKIE,
            make_token(identity.guest),
            max_age=settings.GUEST_COOKIE_AGE,
            secure=settings.SECURE_COOKIES,
            httponly=True,
            samesite="Lax",
        )
