"""API tokens, and signing out."""

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import LogoutView
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.accounts import tokens
from webapp.accounts.identity import Identity
from webapp.accounts.models import Token
from webapp.accounts.serializers import TokenRequestSerializer, TokenSerializer
from webapp.accounts.throttles import LoginThrottle
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.refusals import Refused


class SignOut(LogoutView):
    """Django's, which has the browser forget the pictures that it keeps as well."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        response.headers["Clear-Site-Data"] = '"cache"'
        return response


class TokenView(APIView):
    """API tokens of users, and the end of guests' tokens."""

    throttle_classes = (LoginThrottle,)

    def get_authenticators(self) -> list[Any]:
        # Who asks for a token has none, or one that is no longer valid.
        return [] if self.request is not None and self.request.method == "POST" else super().get_authenticators()

    @extend_schema(request=TokenRequestSerializer, responses=TokenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        """Exchange a user name and password for an API token."""
        # Django's own request: in it django-axes leaves a note for its middleware, which says that a name is locked.
        serializer = TokenRequestSerializer(data=request.data, context={"request": request._request})
        serializer.is_valid(raise_exception=True)
        user = serializer.validated_data["user"]
        with transaction.atomic():
            token = tokens.issue(user, serializer.validated_data["name"])
            identity = Identity(user=user, address=identities.client_address(request))
            record(identity, Action.TOKEN_ISSUE, tokens.find(token))
        # The right password ends the count of wrong ones, which would otherwise add up to a lockout.
        user_logged_in.send(sender=type(user), request=request._request, user=user)
        return Response({"token": token})

    @extend_schema(
        request=None,
        responses={204: OpenApiResponse(description="revoked")},
        parameters=[OpenApiParameter(identities.HEADER, str, OpenApiParameter.HEADER, description="a guest's token")],
    )
    def delete(self, request: Request) -> Response:
        """Revoke the token that the request is made with. A guest's takes all tokens of that guest along."""
        if isinstance(request.auth, Token):
            with transaction.atomic():
                record(identities.identify(request), Action.TOKEN_REVOKE, request.auth)
                request.auth.delete()
            return Response(status=204)
        if request.headers.get(identities.HEADER) and (guest := identities.identify(request).guest):
            with transaction.atomic():
                record(identities.identify(request), Action.TOKEN_REVOKE)
                identities.revoke(guest)
            return Response(status=204)
        raise Refused("no_token", "Send the token that is to be revoked, in Authorization or X-Job-Token.")
