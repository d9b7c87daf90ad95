from typing import Any

from rest_framework import serializers
from rest_framework.authtoken.serializers import AuthTokenSerializer

from webapp.accounts.models import Token
from webapp.refusals import Refused


class TokenRequestSerializer(AuthTokenSerializer):
    name = serializers.CharField(required=False, max_length=100, default="", help_text="what the token is for")

    def validate(self, attrs: Any) -> Any:
        try:
            return super().validate(attrs)
        except serializers.ValidationError:
            raise Refused("authentication_failed", "The user name or the password is wrong.") from None


class TokenSerializer(serializers.Serializer):
    token = serializers.CharField()


class OwnTokenSerializer(serializers.ModelSerializer):
    """A token without its secret, which is not stored."""

    class Meta:
        model = Token
        fields = ("id", "name", "created_at", "expires_at", "last_used_on")
