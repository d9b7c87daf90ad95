"""How often one may ask for an API token."""

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from webapp.accounts.identity import client_address


class LoginThrottle(SimpleRateThrottle):
    """Requests for tokens, by address."""

    scope = "login"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return f"login:{client_address(request)}"
