"""API views of tokens."""

from typing import Any, cast

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.generics import DestroyAPIView, ListAPIView
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.accounts import tokens
from webapp.accounts.models import Token
from webapp.accounts.serializers import OwnTokenSerializer, TokenRequestSerializer, TokenSerializer
from webapp.accounts.stages import must_verify
from webapp.accounts.throttles import LoginThrottle
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.http.parsers import JSON_OR_FORM
from webapp.refusals import Refused


class TokenView(APIView):
    """API tokens of users, and revoking guests' tokens."""

    throttle_classes = (LoginThrottle,)
    parser_classes = JSON_OR_FORM

    def get_authenticators(self) -> list[Any]:
        # A client that requests a token has none yet, or an invalid one.
        return [] if self.request is not None and self.request.method == "POST" else super().get_authenticators()

    @extend_schema(request=TokenRequestSerializer, responses=TokenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Exchange a user name, or e-mail address, and password for an API token."""
        # Pass Django's own request, because django-axes marks it for its middleware when a name is locked out.
        serializer = TokenRequestSerializer(data=request.data, context={"request": request._request})
        serializer.is_valid(raise_exception=True)
        user = serializer.validated_data["user"]
        _require_password_to_suffice(user)
        token = tokens.issue(user, serializer.validated_data["name"], address=identities.client_address(request))
        # Reset the count of wrong passwords, which would otherwise add up to a lockout.
        user_logged_in.send(sender=type(user), request=request._request, user=user)
        return Response({"token": token})

    @extend_schema(
        request=None,
        responses={204: OpenApiResponse(description="revoked")},
        parameters=[OpenApiParameter(identities.HEADER, str, OpenApiParameter.HEADER, description="a guest's token")],
    )
    def delete(self, request: Request) -> Response:
        """Revoke the token that the request is made with. A guest's token revokes all tokens of that guest."""
        if isinstance(request.auth, Token):
            tokens.revoke(identities.identify(request), Token.objects.filter(pk=request.auth.pk))
            return Response(status=204)
        if request.headers.get(identities.HEADER) and (guest := identities.identify(request).guest):
            with transaction.atomic():
                record(identities.identify(request), Action.TOKEN_REVOKE)
                identities.revoke(guest)
            return Response(status=204)
        raise Refused("no_token", "Send the token to revoke in Authorization or X-Job-Token.")


def _require_password_to_suffice(user: User) -> None:
    """Refuse to issue a token for a password alone if the sign-in page would require more.

    Raises:
        Refused: ``second_factor_required`` or ``email_not_verified``.
    """
    if is_mfa_enabled(user):
        raise Refused(
            "second_factor_required",
            "This account has a second factor, so its password alone gives no token. Please sign in on the website "
            "and create a token on the page “API tokens” of your account.",
        )
    if settings.EMAIL_URL and must_verify(user):
        raise Refused("email_not_verified", "Please first open the link in the e-mail that we sent you.")


class TokenPages(CursorPagination):
    page_size = 50
    ordering = ("-created_at", "-pk")


class Tokens(ListAPIView):
    """Your valid API tokens, newest first. Their secrets are not stored."""

    permission_classes = (IsAuthenticated,)
    pagination_class = TokenPages
    serializer_class = OwnTokenSerializer
    queryset = Token.objects.none()

    def get_queryset(self) -> Any:
        return tokens.user_tokens(cast("User", self.request.user))


class TokenDetail(DestroyAPIView):
    """Revoke one of your API tokens."""

    permission_classes = (IsAuthenticated,)
    serializer_class = OwnTokenSerializer
    queryset = Token.objects.none()

    def get_queryset(self) -> Any:
        return tokens.user_tokens(cast("User", self.request.user))

    def perform_destroy(self, instance: Token) -> None:
        tokens.revoke(identities.identify(self.request), Token.objects.filter(pk=instance.pk))
