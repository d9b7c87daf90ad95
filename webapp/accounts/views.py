"""API tokens, and signing out."""

from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.contrib.auth.views import LogoutView
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts.serializers import TokenSerializer
from webapp.accounts.throttles import LoginThrottle


class SignOut(LogoutView):
    """Django's, which has the browser forget the pictures that it keeps as well."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().post(request, *args, **kwargs)
        response.headers["Clear-Site-Data"] = '"cache"'
        return response


class TokenView(APIView):
    """Exchange a user name and password for an API token."""

    authentication_classes = ()
    throttle_classes = (LoginThrottle,)

    @extend_schema(request=AuthTokenSerializer, responses=TokenSerializer)
    def post(self, request: Request) -> Response:
        serializer = AuthTokenSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        user = serializer.validated_data["user"]
        token, _ = Token.objects.get_or_create(user=user)
        # The right password ends the count of wrong ones, which would otherwise add up to a lockout.
        user_logged_in.send(sender=type(user), request=request._request, user=user)
        return Response({"token": token.key})
