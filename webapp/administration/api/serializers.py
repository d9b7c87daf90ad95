"""Serializers of departments, their members and their service accounts."""

from typing import Any

from rest_framework import serializers

from webapp.accounts.models import Invitation, Token
from webapp.departments import permissions
from webapp.departments import settings as department_settings
from webapp.departments.models import Department, Membership, Role
from webapp.http.serializers import StrictSerializer


class DepartmentSettingsSerializer(StrictSerializer, serializers.ModelSerializer):
    """The settings that a manager may change."""

    class Meta:
        model = Department
        fields = department_settings.FIELDS
        extra_kwargs = {name: {"required": False} for name in department_settings.FIELDS}


class DepartmentSerializer(serializers.ModelSerializer):
    """A department, with the requesting user's role."""

    url = serializers.HyperlinkedIdentityField("api-department", lookup_field="slug")
    page_url = serializers.HyperlinkedIdentityField("department", lookup_field="slug")
    role = serializers.SerializerMethodField(help_text="yours; null for administrators who are no members")

    class Meta:
        model = Department
        fields = ("slug", "url", "page_url", "role", *department_settings.FIELDS, "created_at")

    def get_role(self, department: Department) -> str | None:
        return permissions.roles(self.context["request"].user).get(department.pk)


class NewDepartmentSerializer(StrictSerializer):
    name = serializers.CharField(max_length=200)
    slug = serializers.SlugField(max_length=50, help_text="its short name, in addresses and in uploads")


class MemberSerializer(serializers.ModelSerializer):
    """A person in a department."""

    username = serializers.CharField(source="user.username", read_only=True)
    name = serializers.CharField(source="user.get_full_name", read_only=True)

    class Meta:
        model = Membership
        fields = ("id", "username", "name", "role")


class NewMemberSerializer(StrictSerializer):
    who = serializers.CharField(max_length=254, help_text="a user name or an e-mail address")
    role = serializers.ChoiceField(choices=Role.choices, default=Role.READER, help_text="what they may do in it")


class RoleSerializer(StrictSerializer):
    role = serializers.ChoiceField(choices=Role.choices, help_text="what they may do in it")


class InvitationSerializer(serializers.ModelSerializer):
    """An invitation that can still be accepted."""

    class Meta:
        model = Invitation
        fields = ("id", "email", "role", "created_at", "expires_at")


class NewInvitationSerializer(StrictSerializer):
    email = serializers.EmailField(allow_blank=True, default="", help_text="empty for a link that you pass on yourself")
    role = serializers.ChoiceField(choices=Role.choices, default=Role.READER, help_text="what they may do in it")


class MadeInvitationSerializer(InvitationSerializer):
    link = serializers.URLField(help_text="it is shown only now")

    class Meta(InvitationSerializer.Meta):
        fields = (*InvitationSerializer.Meta.fields, "link")  # type: ignore[assignment]


class ServiceAccountSerializer(serializers.ModelSerializer):
    """An account of a scanner or a script."""

    username = serializers.CharField(source="user.username", read_only=True)
    name = serializers.CharField(source="user.first_name", read_only=True)

    class Meta:
        model = Membership
        fields = ("id", "username", "name", "role")


class NewServiceAccountSerializer(StrictSerializer):
    name = serializers.CharField(max_length=80, help_text="what it is for")
    role: Any = serializers.ChoiceField(
        choices=[Role.UPLOADER.value, Role.READER.value],
        default=Role.UPLOADER.value,
        help_text="what it may do in the department",
    )


class ServiceTokenSerializer(serializers.ModelSerializer):
    """A token without its secret, which cannot be retrieved later."""

    class Meta:
        model = Token
        fields = ("id", "name", "created_at", "expires_at")


class NewServiceTokenSerializer(StrictSerializer):
    name = serializers.CharField(max_length=100, default="", allow_blank=True, help_text="what it is for")


class IssuedTokenSerializer(serializers.Serializer):
    token = serializers.CharField(help_text="it is shown only now")
