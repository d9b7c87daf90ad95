"""Find a department, or what belongs to one. What one may not know of does not exist."""

from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404

from webapp.accounts.identity import Identity
from webapp.accounts.models import Invitation, Token
from webapp.departments import members, permissions
from webapp.departments.models import Department, Membership
from webapp.refusals import Refused


def visible_department(
    identity: Identity, slug: str, may: permissions.DepartmentPermission = permissions.may_see_department
) -> Department:
    """A department.

    Raises:
        Http404: there is none, or the client is no member.
        Refused: ``not_allowed`` where the client is a member, and may do no more.
    """
    department: Department = _one(permissions.visible_departments(identity), slug=slug)
    if not may(identity, department):
        raise Refused("not_allowed", "You are a member of this department, but your role does not allow more.")
    return department


def membership(
    identity: Identity, slug: str, pk: int, may: permissions.DepartmentPermission = permissions.may_manage
) -> Membership:
    """A member of a department who is a person; errors as of :func:`visible_department`."""
    return _membership(identity, slug, pk, may, service=False)


def membership_to_end(identity: Identity, slug: str, pk: int) -> Membership:
    """A member whom the client may remove, themselves among them; errors as of :func:`visible_department`."""
    found = _membership(identity, slug, pk, permissions.may_see_department, service=False)
    if not permissions.may_end(identity, found):
        raise Refused("not_allowed", "Only managers of this department remove others from it.")
    return found


def service_account(identity: Identity, slug: str, pk: int) -> Membership:
    """A service account, for managers of its department; errors as of :func:`visible_department`."""
    return _membership(identity, slug, pk, permissions.may_manage, service=True)


def service_token(identity: Identity, slug: str, pk: int, token: int) -> Token:
    """A token of a service account; errors as of :func:`visible_department`."""
    found: Token = _one(service_account(identity, slug, pk).user.api_tokens.all(), pk=token)
    return found


def invitation(identity: Identity, slug: str, pk: int) -> Invitation:
    """An open invitation to a department, for its managers; errors as of :func:`visible_department`."""
    department = visible_department(identity, slug, permissions.may_manage)
    found: Invitation = _one(members.invited(department), pk=pk)
    return found


def _membership(
    identity: Identity, slug: str, pk: int, may: permissions.DepartmentPermission, *, service: bool
) -> Membership:
    department = visible_department(identity, slug, may)
    rows = department.memberships.select_related("user", "department")
    found: Membership = _one(rows, pk=pk, service=service)
    return found


def _one(rows: "QuerySet[Any]", **named: Any) -> Any:
    if found := rows.filter(**named).first():
        return found
    raise Http404


def in_department(identity: Identity, slug: str) -> Q:
    """The condition that a department owns a row, for someone who may see what it owns.

    Raises:
        Refused: ``department_not_found`` if they can see no such department.
    """
    return Q(department=known_department(identity, slug).pk)


def known_department(identity: Identity, slug: str) -> Department:
    """A department that the identity may see by what it owns; raises as :func:`in_department`."""
    # PostgreSQL cannot look for a name with a null character.
    department = None if "\0" in slug else Department.objects.filter(slug=slug).first()
    known = identity.user is not None and department is not None and department.pk in permissions.roles(identity.user)
    if department is None or not (known or permissions.is_administrator(identity.user)):
        raise Refused("department_not_found", f"You are a member of no department with the name {slug}.")
    return department


def department_for(identity: Identity, slug: str | None) -> Department | None:
    """The department that an upload goes to.

    Args:
        slug: as the request names it. Empty for the sender's own uploads; None where the request does not say: then
            it is the department of someone who may upload to exactly one, and otherwise their own uploads. What a
            service account sends is its department's, unless it names another.

    Raises:
        Refused: ``department_not_found`` if they can see no such department, or ``not_an_uploader``.
    """
    if not slug and identity.user and (own := permissions.service_department(identity.user)):
        slug = Department.objects.values_list("slug", flat=True).get(pk=own)
    if slug is None:
        mine = permissions.departments_to_upload_to(identity)
        return mine[0] if len(mine) == 1 else None
    if not slug:
        return None
    department = known_department(identity, slug)
    if not permissions.may_upload_to(identity, department):
        raise Refused("not_an_uploader", "Only uploaders and managers of this department can upload to it.")
    return department
