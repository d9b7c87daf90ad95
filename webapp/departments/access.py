"""Find a department, or a row that belongs to one. Rows that the client may not know about are reported as missing."""

from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404

from webapp.accounts.identity import Identity
from webapp.accounts.models import Invitation, Token
from webapp.departments import members, permissions
from webapp.departments.models import Department, Membership
from webapp.refusals import Refused


def visible_department(
    identity: Identity, slug: str, permission: permissions.DepartmentPermission = permissions.may_see_department
) -> Department:
    """The department with this slug.

    Raises:
        Http404: it does not exist, or the client is not a member.
        Refused: ``not_allowed`` if the client is a member but lacks the permission.
    """
    department: Department = _one(permissions.visible_departments(identity), slug=slug)
    if not permission(identity, department):
        raise Refused("not_allowed", "You are a member of this department, but your role does not allow more.")
    return department


def membership(
    identity: Identity, slug: str, pk: int, permission: permissions.DepartmentPermission = permissions.may_manage
) -> Membership:
    """The membership of a person in a department. Raises the errors of :func:`visible_department`."""
    return _membership(identity, slug, pk, permission, service=False)


def membership_to_end(identity: Identity, slug: str, pk: int) -> Membership:
    """The membership of a person whom the client may remove, which includes themselves. Raises the errors of
    :func:`visible_department`.
    """
    found = _membership(identity, slug, pk, permissions.may_see_department, service=False)
    if not permissions.may_end(identity, found):
        raise Refused("not_allowed", "Only managers of this department can remove others from it.")
    return found


def service_account(identity: Identity, slug: str, pk: int) -> Membership:
    """A service account, for managers of its department. Raises the errors of :func:`visible_department`."""
    return _membership(identity, slug, pk, permissions.may_manage, service=True)


def service_token(identity: Identity, slug: str, pk: int, token: int) -> Token:
    """A token of a service account. Raises the errors of :func:`visible_department`."""
    found: Token = _one(service_account(identity, slug, pk).user.api_tokens.all(), pk=token)
    return found


def invitation(identity: Identity, slug: str, pk: int) -> Invitation:
    """An open invitation to a department, for its managers. Raises the errors of :func:`visible_department`."""
    department = visible_department(identity, slug, permissions.may_manage)
    found: Invitation = _one(members.invited(department), pk=pk)
    return found


def _membership(
    identity: Identity, slug: str, pk: int, permission: permissions.DepartmentPermission, *, service: bool
) -> Membership:
    department = visible_department(identity, slug, permission)
    rows = department.memberships.select_related("user", "department")
    found: Membership = _one(rows, pk=pk, service=service)
    return found


def _one(rows: "QuerySet[Any]", **lookup: Any) -> Any:
    if found := rows.filter(**lookup).first():
        return found
    raise Http404


def in_department(identity: Identity, slug: str) -> Q:
    """Condition for rows of a department, if the identity may see these.

    Raises:
        Refused: ``department_not_found`` if the identity may not, or there is no such department.
    """
    return Q(department=known_department(identity, slug).pk)


def known_department(identity: Identity, slug: str) -> Department:
    """The department whose rows the identity may see. Raises the errors of :func:`in_department`."""
    # PostgreSQL raises an error for text with a null character.
    department = None if "\0" in slug else Department.objects.filter(slug=slug).first()
    member = identity.user is not None and department is not None and department.pk in permissions.roles(identity.user)
    if department is None or not (member or permissions.is_administrator(identity.user)):
        raise Refused("department_not_found", f"You are a member of no department with the name {slug}.")
    return department


def department_for(identity: Identity, slug: str | None) -> Department | None:
    """The department that an upload goes to; None for the sender's own uploads.

    Args:
        slug: the department that the request names. Empty for the sender's own uploads. None if the request does not
            say: if the sender may upload to exactly one department, the upload goes there, and otherwise to their own
            uploads. Unless it names a department, a service account sends to its own department.

    Raises:
        Refused: ``department_not_found`` if the sender may not see it or it does not exist, or ``not_an_uploader``.
    """
    if not slug and identity.user and (own := permissions.service_department(identity.user)):
        slug = Department.objects.values_list("slug", flat=True).get(pk=own)
    if slug is None:
        departments = permissions.departments_to_upload_to(identity)
        return departments[0] if len(departments) == 1 else None
    if not slug:
        return None
    department = known_department(identity, slug)
    if not permissions.may_upload_to(identity, department):
        raise Refused("not_an_uploader", "Only uploaders and managers of this department can upload to it.")
    return department
