"""Permissions: the only place that decides who may do what.

These functions check access to every row that a guest, a person or a department owns. Lists are filtered by
:func:`visible`, which is :func:`may_see` as a condition. Django's ``is_staff`` gives access to the admin site only.
"""

from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any, Protocol
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q, QuerySet

from webapp.accounts.identity import Identity
from webapp.departments.models import Department, Membership, Role, memberships_of

ADMINISTER = "departments.administer"
REVIEW = "reviews.add_review"
SENDERS = (Role.UPLOADER, Role.MANAGER)
REVIEWERS = (Role.READER, Role.MANAGER)


class Owned(Protocol):
    """A row with one owner, like those of :class:`webapp.studies.models.Owned`."""

    owner_id: Any
    guest: Any
    department_id: Any


#: The type of the functions below that decide what an identity may do with a row.
Predicate = Callable[[Identity, Owned], bool]
#: The type of the functions that decide what an identity may do with a department.
DepartmentPermission = Callable[[Identity, Department], bool]


def roles(user: User) -> dict[UUID, str]:
    """A user's roles by department."""
    return {membership.department_id: membership.role for membership in memberships_of(user)}


def is_administrator(user: User | AnonymousUser | None) -> bool:
    """Whether a user may see and do everything, has no rate limit, and may open Flower, Grafana and the metrics."""
    return user is not None and user.has_perm(ADMINISTER)


def administrators() -> "QuerySet[User]":
    """The administrators of the service who can sign in."""
    return User.objects.with_perm(ADMINISTER, backend="django.contrib.auth.backends.ModelBackend")


def is_last_administrator(user: User) -> bool:
    """Whether a user is the only administrator of the service."""
    return is_administrator(user) and not administrators().exclude(pk=user.pk).exists()


def may_invite(user: User | AnonymousUser) -> bool:
    """Whether a user may invite people to the service: administrators."""
    return is_administrator(user)


def visible(identity: Identity) -> Q:
    """Condition for rows that the identity may see."""
    return reduce(or_, visible_by_owner(identity))


def visible_by_owner(identity: Identity) -> list[Q]:
    """The condition of :func:`visible` in disjoint parts, one for each owner. Each part has an index by time."""
    if identity.user is None:
        return [Q(guest=identity.guest) if identity.guest else Q(pk__in=[])]
    if is_administrator(identity.user):
        return [Q()]
    return [Q(owner=identity.user), *(Q(department=department) for department in roles(identity.user))]


def shared(identity: Identity, through: str = "shares") -> Q:
    """Condition for rows that are shared with the identity, which may see them and nothing else.

    Lists use only :func:`visible`, so that they stay fast. Shared objects are found by their id.

    Args:
        through: the relation from the row to :class:`webapp.sharing.models.Share`.
    """
    return Q(**{f"{through}__user": identity.user}) if identity.user else Q(pk__in=[])


def may_see(identity: Identity, owned: Owned) -> bool:
    """Who may see a row: its owner, each member of its department, and administrators."""
    return owns(identity, owned) or _role(identity, owned.department_id) is not None or is_administrator(identity.user)


def may_see_original(identity: Identity, owned: Owned) -> bool:
    """Who may download an original file, which may name its patient: all who may see it, except through a share."""
    return may_see(identity, owned)


def visible_departments(identity: Identity) -> "QuerySet[Department]":
    """The departments of which an identity is a member; for administrators, all."""
    if is_administrator(identity.user):
        return Department.objects.all()
    return Department.objects.filter(pk__in=roles(identity.user)) if identity.user else Department.objects.none()


def may_see_department(identity: Identity, department: Department) -> bool:
    """Who may see a department and its list of members: its members, and administrators."""
    return identity.user is not None and (department.pk in roles(identity.user) or is_administrator(identity.user))


def may_manage(identity: Identity, department: Department) -> bool:
    """Who may change a department, its members and its service accounts: its managers, and administrators."""
    return _role(identity, department.pk) == Role.MANAGER or is_administrator(identity.user)


def managed_departments(identity: Identity) -> "QuerySet[Department]":
    """The departments whose audit, failures and notifications an identity may see; for administrators, all."""
    if is_administrator(identity.user):
        return Department.objects.all()
    own_roles = roles(identity.user) if identity.user else {}
    return Department.objects.filter(pk__in=[pk for pk, role in own_roles.items() if role == Role.MANAGER])


def may_read_audit(identity: Identity) -> bool:
    """Who may read audit entries: managers those of their departments, and administrators all."""
    own_roles = roles(identity.user).values() if identity.user else ()
    return Role.MANAGER in own_roles or is_administrator(identity.user)


def may_see_queues(identity: Identity) -> bool:
    """Who may see queues: managers those of their departments, and administrators all."""
    return may_read_audit(identity)


def may_see_agreement(identity: Identity) -> bool:
    """Who may see how the models agree with readers: managers for their departments, and administrators for all."""
    return may_read_audit(identity)


def may_pause(identity: Identity, department: Department | None) -> bool:
    """Who may pause, drain and resume a department: its managers, and administrators; all queues: administrators."""
    return is_administrator(identity.user) if department is None else may_manage(identity, department)


def may_follow(identity: Identity, owned: Owned) -> bool:
    """Who may see how an image was processed, and export files without patient data: managers and administrators."""
    return _role(identity, owned.department_id) == Role.MANAGER or is_administrator(identity.user)


def may_create_departments(identity: Identity) -> bool:
    return is_administrator(identity.user)


def may_delete_department(identity: Identity, department: Department) -> bool:
    return is_administrator(identity.user)


def may_end(identity: Identity, membership: Membership) -> bool:
    """Who may end a membership: the member, managers of the department, and administrators."""
    own = identity.user is not None and membership.user_id == identity.user.pk
    return own or may_manage(identity, membership.department)


def service_department(user: User) -> UUID | None:
    """The department of a service account, which has exactly one; None for a person."""
    return next((membership.department_id for membership in memberships_of(user) if membership.service), None)


def may_upload_to(identity: Identity, department: Department) -> bool:
    """Who may upload to a department: its uploaders and managers, and administrators."""
    return _role(identity, department.pk) in SENDERS or is_administrator(identity.user)


def departments_to_upload_to(identity: Identity) -> list[Department]:
    """The departments in which the identity is an uploader or manager, by name. An administrator may upload to any."""
    keys = [pk for pk, role in roles(identity.user).items() if role in SENDERS] if identity.user else []
    return list(Department.objects.filter(pk__in=keys)) if keys else []


def may_add_to(identity: Identity, owned: Owned) -> bool:
    """Who may add images to a study: the owner, uploaders and managers, and administrators."""
    return owns(identity, owned) or _role(identity, owned.department_id) in SENDERS or is_administrator(identity.user)


def may_cancel(identity: Identity, owned: Owned) -> bool:
    """Who may cancel a row: the owner, uploaders for their own uploads, managers, and administrators."""
    role = _role(identity, owned.department_id)
    sent_it = identity.user is not None and getattr(owned, "uploaded_by_id", None) == identity.user.pk
    allowed = role == Role.MANAGER or (role == Role.UPLOADER and sent_it)
    return owns(identity, owned) or allowed or is_administrator(identity.user)


def may_change(identity: Identity, owned: Owned) -> bool:
    """Who may change an image, study or patient, have images read again, and share: those who may add images."""
    return may_add_to(identity, owned)


def may_review(identity: Identity, owned: Owned) -> bool:
    """Who may review an image: readers and managers of its department, and users with the review permission for images
    that they may see. A service account cannot review an image.
    """
    if identity.user is None:
        return False
    if _role(identity, owned.department_id) in REVIEWERS:
        return not service_department(identity.user)
    return identity.user.has_perm(REVIEW) and may_see(identity, owned)


def may_search_pacs(identity: Identity, department: Department) -> bool:
    """Who may search a department's PACS and fetch from it: its readers and managers, and administrators."""
    return _role(identity, department.pk) in REVIEWERS or is_administrator(identity.user)


def reviewable_by_owner(identity: Identity) -> list[Q]:
    """Condition for rows that the identity may review, in parts like those of :func:`visible_by_owner`."""
    if identity.user is None or service_department(identity.user):
        return []
    if identity.user.has_perm(REVIEW):
        return visible_by_owner(identity)
    own_roles = roles(identity.user).items()
    return [Q(department=department) for department, role in own_roles if role in REVIEWERS]


def may_mark_stat(identity: Identity, owned: Owned) -> bool:
    """Who may mark an image as STAT: those who may change it, and its readers."""
    return may_change(identity, owned) or may_review(identity, owned)


def may_see_verdicts(identity: Identity, owned: Owned) -> bool:
    """Who may see the verdicts on an image: everyone with an account who may see the image."""
    return identity.user is not None and may_see(identity, owned)


def may_delete(identity: Identity, owned: Owned) -> bool:
    """Who may delete a row, or merge two patients into one: the owner, managers of its department, administrators."""
    manages = _role(identity, owned.department_id) == Role.MANAGER
    return owns(identity, owned) or manages or is_administrator(identity.user)


def owns(identity: Identity, owned: Owned) -> bool:
    """Whether the identity itself, and not a department, owns the row."""
    if identity.user is not None:
        return bool(owned.owner_id == identity.user.pk)
    return identity.guest is not None and owned.guest == identity.guest


def _role(identity: Identity, department: UUID | None) -> str | None:
    """The identity's role in a department; None if it is not a member."""
    return roles(identity.user).get(department) if identity.user and department else None
