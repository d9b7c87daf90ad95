"""The identity behind a page request."""

from django.http import HttpRequest

from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity
from webapp.refusals import Refused


def viewer(request: HttpRequest) -> Identity:
    """The identity behind a request for a page; an empty identity if its credentials are refused."""
    try:
        return identities.identify(request)
    except Refused:
        return Identity()
