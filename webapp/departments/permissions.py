"""Who may do what: the only place that decides it.

Whatever a guest, a person or a department owns is checked by these functions. Lists are filtered by :func:`visible`,
which is :func:`may_see` as a condition. Django's ``is_staff`` opens the admin site and nothing else.
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
    """A row with one owner, as :class:`webapp.studies.models.Owned` has it."""

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
    """Whether someone may see and do everything, has no rate limit, and may open Flower, Grafana and the metrics."""
    return user is not None and user.has_perm(ADMINISTER)


def administrators() -> "QuerySet[User]":
    """The administrators of the service who can sign in."""
    return User.objects.with_perm(ADMINISTER, backend="django.contrib.auth.backends.ModelBackend")


def is_last_administrator(user: User) -> bool:
    """Whether a user is the only administrator of the service."""
    return is_administrator(user) and not administrators().exclude(pk=user.pk).exists()


def may_invite(user: User | AnonymousUser) -> bool:
    """Who may invite people to the service: administrators."""
    return is_administrator(user)


def visible(identity: Identity) -> Q:
    """The condition that a row is the identity's to see."""
    return reduce(or_, visible_by_owner(identity))


def visible_by_owner(identity: Identity) -> list[Q]:
    """The same in parts that have no row in common: one for each owner. Each part has an index in the order of time."""
    if identity.user is None:
        return [Q(guest=identity.guest) if identity.guest else Q(pk__in=[])]
    if is_administrator(identity.user):
        return [Q()]
    return [Q(owner=identity.user), *(Q(department=department) for department in roles(identity.user))]


def shared(identity: Identity, through: str = "shares") -> Q:
    """The condition that a row is shared with the identity, which allows seeing it and nothing else.

    Lists use only :func:`visible`, so that they stay quick; shared objects are found by their id.

    Args:
        through: the relation from the row to :class:`webapp.sharing.models.Share`.
    """
    return Q(**{f"{through}__user": identity.user}) if identity.user else Q(pk__in=[])


def may_see(identity: Identity, owned: Owned) -> bool:
    """The owner, each member of the owning department, and administrators."""
    return owns(identity, owned) or _role(identity, owned.department_id) is not None or is_administrator(identity.user)


def may_see_original(identity: Identity, owned: Owned) -> bool:
    """Who gets a file as it came, which may name its patient: whoever sees it, but for those it is only shared with."""
    return may_see(identity, owned)


def visible_departments(identity: Identity) -> "QuerySet[Department]":
    """The departments that an identity is a member of; of administrators, all."""
    if is_administrator(identity.user):
        return Department.objects.all()
    return Department.objects.filter(pk__in=roles(identity.user)) if identity.user else Department.objects.none()


def may_see_department(identity: Identity, department: Department) -> bool:
    """Its members, who also see who the others are, and administrators."""
    return identity.user is not None and (department.pk in roles(identity.user) or is_administrator(identity.user))


def may_manage(identity: Identity, department: Department) -> bool:
    """Who may change a department, its members and its service accounts: its managers, and administrators."""
    return _role(identity, department.pk) == Role.MANAGER or is_administrator(identity.user)


def managed_departments(identity: Identity) -> "QuerySet[Department]":
    """The departments whose audit, failures and notifications an identity may see; for administrators, all."""
    if is_administrator(identity.user):
        return Department.objects.all()
    mine = roles(identity.user) if identity.user else {}
    return Department.objects.filter(pk__in=[pk for pk, role in mine.items() if role == Role.MANAGER])


def may_read_audit(identity: Identity) -> bool:
    """Managers, of what their departments have, and administrators."""
    mine = roles(identity.user).values() if identity.user else ()
    return Role.MANAGER in mine or is_administrator(identity.user)


def may_see_queues(identity: Identity) -> bool:
    """Managers, of what their departments have waiting, and administrators, of everything."""
    return may_read_audit(identity)


def may_see_agreement(identity: Identity) -> bool:
    """Who sees how the models agree with readers: managers, of their departments, and administrators, of everybody."""
    return may_read_audit(identity)


def may_pause(identity: Identity, department: Department | None) -> bool:
    """Who may pause, drain and resume a department: its managers, and administrators, who may do so with queues."""
    return is_administrator(identity.user) if department is None else may_manage(identity, department)


def may_follow(identity: Identity, owned: Owned) -> bool:
    """Who sees an image's way through the service, and exports files without patients: managers, and administrators."""
    return _role(identity, owned.department_id) == Role.MANAGER or is_administrator(identity.user)


def may_create_departments(identity: Identity) -> bool:
    return is_administrator(identity.user)


def may_delete_department(identity: Identity, department: Department) -> bool:
    return is_administrator(identity.user)


def may_end(identity: Identity, membership: Membership) -> bool:
    """Who may end a person's membership: they themselves, managers of the department, and administrators."""
    own = identity.user is not None and membership.user_id == identity.user.pk
    return own or may_manage(identity, membership.department)


def service_department(user: User) -> UUID | None:
    """The department of a service account, which has exactly one; None for a person."""
    return next((membership.department_id for membership in memberships_of(user) if membership.service), None)


def may_upload_to(identity: Identity, department: Department) -> bool:
    """Uploaders and managers of the department, and administrators."""
    return _role(identity, department.pk) in SENDERS or is_administrator(identity.user)


def departments_to_upload_to(identity: Identity) -> list[Department]:
    """The departments where the identity is an uploader or manager, by name. An administrator may name any other."""
    mine = [pk for pk, role in roles(identity.user).items() if role in SENDERS] if identity.user else []
    return list(Department.objects.filter(pk__in=mine)) if mine else []


def may_add_to(identity: Identity, owned: Owned) -> bool:
    """Who may add images to a study: the owner, uploaders and managers, and administrators."""
    return owns(identity, owned) or _role(identity, owned.department_id) in SENDERS or is_administrator(identity.user)


def may_cancel(identity: Identity, owned: Owned) -> bool:
    """The owner, uploaders for what they sent themselves, managers, and administrators."""
    role = _role(identity, owned.department_id)
    sent_it = identity.user is not None and getattr(owned, "uploaded_by_id", None) == identity.user.pk
    allowed = role == Role.MANAGER or (role == Role.UPLOADER and sent_it)
    return owns(identity, owned) or allowed or is_administrator(identity.user)


def may_change(identity: Identity, owned: Owned) -> bool:
    """Who may change an image, study or patient, have images read again, and share: those who may add images."""
    return may_add_to(identity, owned)


def may_review(identity: Identity, owned: Owned) -> bool:
    """Readers and managers of the owning department, and holders of the review permission for what they may see. A
    service account cannot review an image.
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
    """The condition of :func:`may_review` in parts, as :func:`visible_by_owner` has that of :func:`may_see`."""
    if identity.user is None or service_department(identity.user):
        return []
    if identity.user.has_perm(REVIEW):
        return visible_by_owner(identity)
    mine = roles(identity.user).items()
    return [Q(department=department) for department, role in mine if role in REVIEWERS]


def may_mark_stat(identity: Identity, owned: Owned) -> bool:
    """Who may mark an image as STAT: those who may change it, and its readers."""
    return may_change(identity, owned) or may_review(identity, owned)


def may_see_verdicts(identity: Identity, owned: Owned) -> bool:
    """Everybody with an account who may see the image."""
    return identity.user is not None and may_see(identity, owned)


def may_delete(identity: Identity, owned: Owned) -> bool:
    """The owner, managers of the owning department, and administrators; so it is for merging, which deletes one."""
    manages = _role(identity, owned.department_id) == Role.MANAGER
    return owns(identity, owned) or manages or is_administrator(identity.user)


def owns(identity: Identity, owned: Owned) -> bool:
    """Whether it is the identity's own, and no department's."""
    if identity.user is not None:
        return bool(owned.owner_id == identity.user.pk)
    return identity.guest is not None and owned.guest == identity.guest


def _role(identity: Identity, department: UUID | None) -> str | None:
    """The identity's role in a department, if it is a member."""
    return roles(identity.user).get(department) if identity.user and department else None
