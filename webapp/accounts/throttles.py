"""Rate limit of requests for API tokens."""

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from webapp.accounts.identity import client_address


class LoginThrottle(SimpleRateThrottle):
    """Limits requests for tokens by client address."""

    scope = "login"

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return f"login:{client_address(request)}"
