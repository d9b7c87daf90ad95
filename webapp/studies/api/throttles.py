"""The rate limit of uploads. Administrators have no limit."""

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from webapp.accounts.identity import client_address
from webapp.departments import permissions


class UploadThrottle(SimpleRateThrottle):
    """Limit requests by user or, for guests, by address. Only requests that change something count."""

    scope = "guest"

    def allow_request(self, request: Request, view: APIView) -> bool:
        if request.method in ("GET", "HEAD", "OPTIONS") or permissions.is_administrator(request.user):
            return True
        scope = "user" if request.user.is_authenticated else "guest"
        self.rate = self.THROTTLE_RATES[scope]
        self.num_requests, self.duration = self.parse_rate(self.rate)
        return super().allow_request(request, view)

    def get_cache_key(self, request: Request, view: APIView) -> str:
        key: Any = request.user.pk if request.user.is_authenticated else client_address(request)
        return f"uploads:{'user' if request.user.is_authenticated else 'guest'}:{key}"
