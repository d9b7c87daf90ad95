"""API views of departments. A department does not exist for users who are not members of it."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.accounts import identity as identities
from webapp.accounts import invitations, tokens
from webapp.accounts.models import Invitation, Token
from webapp.administration import services
from webapp.administration.api import serializers
from webapp.departments import access, members, permissions
from webapp.departments import settings as department_settings
from webapp.departments.models import Department, Membership
from webapp.refusals import Refused
from webapp.studies.api.throttles import UploadThrottle
from webapp.studies.services import department_deletion

DELETED = {204: OpenApiResponse(description="deleted")}


def _department(
    request: Request, slug: str, permission: permissions.DepartmentPermission = permissions.may_see_department
) -> Department:
    return access.visible_department(identities.identify(request), slug, permission)


def _validated(serializer: type[Any], request: Request, **options: Any) -> dict[str, Any]:
    """The validated data of a request."""
    bound = serializer(data=request.data, **options)
    bound.is_valid(raise_exception=True)
    return dict(bound.validated_data)


class Departments(ListAPIView):
    """Your departments. Administrators see all departments, and can create one."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)
    serializer_class = serializers.DepartmentSerializer
    queryset = Department.objects.none()
    ordering = "created_at"

    def get_queryset(self) -> Any:
        return permissions.visible_departments(identities.identify(self.request))

    @extend_schema(request=serializers.NewDepartmentSerializer, responses={201: serializers.DepartmentSerializer})
    def post(self, request: Request) -> Response:
        """Create a department, as an administrator."""
        identity = identities.identify(request)
        if not permissions.may_create_departments(identity):
            raise Refused("not_allowed", "Only administrators can create departments.")
        department = department_settings.create(identity, **_validated(serializers.NewDepartmentSerializer, request))
        return Response(serializers.DepartmentSerializer(department, context={"request": request}).data, status=201)


class DepartmentDetail(APIView):
    """One department."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=serializers.DepartmentSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """A department with its settings and your role in it."""
        return self._response(request, _department(request, slug))

    @extend_schema(request=serializers.DepartmentSettingsSerializer, responses=serializers.DepartmentSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        """Change a department's settings. A new operating point applies only to later results."""
        department = _department(request, slug, permissions.may_manage)
        changes = _validated(serializers.DepartmentSettingsSerializer, request, partial=True)
        services.change_settings(identities.identify(request), department, changes)
        return self._response(request, department)

    @extend_schema(responses=DELETED)
    def delete(self, request: Request, slug: str) -> Response:
        """Delete a department with all its patients, studies, images, results, files and service accounts."""
        department = _department(request, slug, permissions.may_delete_department)
        department_deletion.delete_department(department, identities.identify(request))
        return Response(status=204)

    def _response(self, request: Request, department: Department) -> Response:
        return Response(serializers.DepartmentSerializer(department, context={"request": request}).data)


class Members(APIView):
    """The people in a department."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)

    @extend_schema(responses=serializers.MemberSerializer(many=True), operation_id="department_members_list")
    def get(self, request: Request, slug: str) -> Response:
        """The people in a department."""
        people = members.people(_department(request, slug))
        return Response(serializers.MemberSerializer(people, many=True).data)

    @extend_schema(request=serializers.NewMemberSerializer, responses={201: serializers.MemberSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Add a user who has an account to a department."""
        department = _department(request, slug, permissions.may_manage)
        data = _validated(serializers.NewMemberSerializer, request)
        member = members.add_person(identities.identify(request), department, **data)
        return Response(serializers.MemberSerializer(member).data, status=201)


class MemberDetail(APIView):
    """A person in a department."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(request=serializers.RoleSerializer, responses=serializers.MemberSerializer)
    def patch(self, request: Request, slug: str, pk: int) -> Response:
        """Change the role of a member of a department."""
        identity = identities.identify(request)
        member = access.membership(identity, slug, pk)
        members.change_role(identity, member, **_validated(serializers.RoleSerializer, request))
        return Response(serializers.MemberSerializer(member).data)

    @extend_schema(responses=DELETED)
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Remove a member of a department, or leave it. The member's uploads are kept."""
        identity = identities.identify(request)
        members.remove(identity, access.membership_to_end(identity, slug, pk))
        return Response(status=204)


class Invitations(APIView):
    """Open invitations to a department."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)

    @extend_schema(responses=serializers.InvitationSerializer(many=True), operation_id="department_invitations_list")
    def get(self, request: Request, slug: str) -> Response:
        """Invitations to a department that can still be accepted."""
        open_invitations = members.invited(_department(request, slug, permissions.may_manage))
        return Response(serializers.InvitationSerializer(open_invitations, many=True).data)

    @extend_schema(request=serializers.NewInvitationSerializer, responses={201: serializers.MadeInvitationSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Invite a person to a department. The response has the link, which is also mailed if mail is configured."""
        department = _department(request, slug, permissions.may_manage)
        data = _validated(serializers.NewInvitationSerializer, request)
        invitation, link = members.invite(identities.identify(request), department, **data)
        return Response({**serializers.InvitationSerializer(invitation).data, "link": link}, status=201)


class InvitationDetail(APIView):
    """An open invitation."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses={204: OpenApiResponse(description="revoked")})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Revoke an invitation to a department."""
        identity = identities.identify(request)
        invitations.revoke(identity, Invitation.objects.filter(pk=access.invitation(identity, slug, pk).pk))
        return Response(status=204)


class ServiceAccounts(APIView):
    """The accounts of a department's scanners and scripts."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)

    @extend_schema(responses=serializers.ServiceAccountSerializer(many=True), operation_id="service_accounts_list")
    def get(self, request: Request, slug: str) -> Response:
        """The accounts of a department's scanners and scripts."""
        accounts = members.service_accounts(_department(request, slug, permissions.may_manage))
        return Response(serializers.ServiceAccountSerializer(accounts, many=True).data)

    @extend_schema(
        request=serializers.NewServiceAccountSerializer, responses={201: serializers.ServiceAccountSerializer}
    )
    def post(self, request: Request, slug: str) -> Response:
        """Create a service account. It only uses API tokens, and cannot sign in."""
        department = _department(request, slug, permissions.may_manage)
        data = _validated(serializers.NewServiceAccountSerializer, request)
        account = members.make_service_account(identities.identify(request), department, **data)
        return Response(serializers.ServiceAccountSerializer(account).data, status=201)


def _account(request: Request, slug: str, pk: int) -> Membership:
    return access.service_account(identities.identify(request), slug, pk)


class ServiceAccountDetail(APIView):
    """One service account."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses=DELETED)
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Delete a service account with its tokens. Its uploads are kept."""
        members.delete_service_account(identities.identify(request), _account(request, slug, pk))
        return Response(status=204)


class ServiceTokens(APIView):
    """The API tokens of a service account."""

    permission_classes = (IsAuthenticated,)
    throttle_classes = (UploadThrottle,)

    @extend_schema(responses=serializers.ServiceTokenSerializer(many=True), operation_id="service_tokens_list")
    def get(self, request: Request, slug: str, pk: int) -> Response:
        """The API tokens of a service account, without their secrets, which cannot be retrieved later."""
        issued = _account(request, slug, pk).user.api_tokens.order_by("created_at", "pk")
        return Response(serializers.ServiceTokenSerializer(issued, many=True).data)

    @extend_schema(request=serializers.NewServiceTokenSerializer, responses={201: serializers.IssuedTokenSerializer})
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Issue an API token for a service account."""
        account = _account(request, slug, pk)
        data = _validated(serializers.NewServiceTokenSerializer, request)
        key = members.issue_token(identities.identify(request), account, **data)
        return Response({"token": key}, status=201)


class ServiceTokenDetail(APIView):
    """One token of a service account."""

    permission_classes = (IsAuthenticated,)

    @extend_schema(responses={204: OpenApiResponse(description="revoked")})
    def delete(self, request: Request, slug: str, pk: int, token: int) -> Response:
        """Revoke an API token of a service account."""
        identity = identities.identify(request)
        tokens.revoke(identity, Token.objects.filter(pk=access.service_token(identity, slug, pk, token).pk))
        return Response(status=204)
