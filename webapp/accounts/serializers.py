from rest_framework import serializers
from rest_framework.authtoken.serializers import AuthTokenSerializer


class TokenRequestSerializer(AuthTokenSerializer):
    name = serializers.CharField(required=False, max_length=100, default="", help_text="what the token is for")


class TokenSerializer(serializers.Serializer):
    token = serializers.CharField()
