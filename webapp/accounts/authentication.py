"""Authentication by API tokens in the header ``Authorization``."""

from typing import Any

from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from webapp.accounts import tokens
from webapp.http import problems


class TokenAuthentication(authentication.TokenAuthentication):
    """Accepts ``Token …`` and ``Bearer …``, which mean the same, and refuses any other credentials."""

    SCHEMES = (b"token", b"bearer")

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        if "Authorization" not in request.headers:
            return None
        parts = authentication.get_authorization_header(request).split()
        if len(parts) != 2 or parts[0].lower() not in self.SCHEMES:
            raise AuthenticationFailed("Send an API token as “Authorization: Token …” or “Authorization: Bearer …”.")
        return self.authenticate_credentials(parts[1].decode(errors="replace"))

    def authenticate_header(self, request: Request) -> str:
        return problems.CHALLENGE

    def authenticate_credentials(self, key: str) -> tuple[Any, Any]:
        token = tokens.find(key)
        if token is None or not token.user.is_active:
            raise AuthenticationFailed("This API token is not valid, or no longer.")
        tokens.note_use(token)
        return token.user, token
