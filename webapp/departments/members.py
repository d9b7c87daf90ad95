"""The members of a department: persons, and service accounts for scanners and scripts."""

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Lower
from django.utils.text import slugify

from webapp.accounts import invitations, tokens
from webapp.accounts.identity import Identity
from webapp.accounts.models import Invitation
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department, Membership, Role
from webapp.encodings import clean
from webapp.refusals import Refused

LAST_ADMINISTRATOR = (
    "The service needs an administrator who can sign in. Please make someone else an administrator first."
)
LAST_MANAGER = "A department needs a manager. Please make someone else a manager first."


def people(department: Department) -> "QuerySet[Membership]":
    """A department's members who are persons, by name."""
    found = department.memberships.filter(service=False).select_related("user", "department")
    return found.order_by("user__username")


def managed_alone(user: User) -> "QuerySet[Department]":
    """The departments that have no other manager than a user."""
    managers = Membership.objects.filter(role=Role.MANAGER)
    others = managers.filter(department=OuterRef("pk")).exclude(user=user)
    return Department.objects.filter(~Exists(others), memberships__in=managers.filter(user=user))


def service_accounts(department: Department) -> "QuerySet[Membership]":
    found = department.memberships.filter(service=True).select_related("user", "department")
    return found.order_by("user__username")


@transaction.atomic
def join(by: Identity, user: User, department: Department, role: str) -> Membership:
    """Make a user a member, as one who was invited. A member keeps the role that they have."""
    if user.memberships.filter(service=True).exists():
        raise Refused("is_service_account", "A service account belongs to its own department only.")
    made, is_new = Membership.objects.get_or_create(department=department, user=user, defaults={"role": role})
    if is_new:
        record(by, Action.ROLE_CHANGE, department, person=user.pk, role=role)
    return made


@transaction.atomic
def add_person(by: Identity, department: Department, who: str, role: str) -> Membership:
    """Make a user who exists already a member.

    Args:
        by: who adds them.
        department: the one to join.
        who: their user name or e-mail address.
        role: one of :class:`Role`.

    Raises:
        Refused: ``user_not_found``, ``is_member`` or ``is_service_account``.
    """
    # Not by iexact, which keeps to the case of letters in MariaDB, as its collation does.
    users = User.objects.alias(address=Lower("email")).filter(is_active=True)
    found = list(users.filter(Q(username=who) | Q(address=who.lower()))[:2]) if who else []
    if len(found) != 1:
        raise Refused("user_not_found", "There is no user with this name or e-mail address, or more than one.")
    if department.memberships.filter(user=found[0]).exists():
        raise Refused("is_member", "This user is already a member of the department.")
    return join(by, found[0], department, role)


def invite(by: Identity, department: Department, email: str, role: str) -> tuple[Invitation, str]:
    """Invite somebody to a department, whether they have an account or not.

    Returns:
        The invitation, and its link, which cannot be had again.

    Raises:
        Refused: ``registration_closed``.
    """
    purpose = f"{department.name}, as {Role(role).label.lower()}"
    return invitations.invite(by, email, department_id=department.pk, role=role, purpose=purpose)


def invited(department: Department) -> "QuerySet[Invitation]":
    """The invitations to a department that can still be accepted, the newest first."""
    return invitations.open_ones().filter(department_id=department.pk)


@transaction.atomic
def change_role(by: Identity, member: Membership, role: str) -> None:
    """Give a person another role.

    Raises:
        Refused: ``last_manager``.
    """
    if role != Role.MANAGER:
        _require_another_manager(member)
    Membership.objects.filter(pk=member.pk).update(role=role)
    member.role = role
    record(by, Action.ROLE_CHANGE, member.department, person=member.user_id, role=role)


@transaction.atomic
def remove(by: Identity, member: Membership) -> None:
    """End a person's membership. What they have sent to the department stays there.

    Raises:
        Refused: ``last_manager``.
    """
    _require_another_manager(member)
    record(by, Action.ROLE_CHANGE, member.department, person=member.user_id, role="")
    member.delete()


def _require_another_manager(member: Membership) -> None:
    # Another request that removes a manager waits here, and then counts again.
    list(Department.objects.select_for_update().filter(pk=member.department_id))
    managers = Membership.objects.filter(department=member.department_id, role=Role.MANAGER)
    if list(managers.values_list("pk", flat=True)[:2]) == [member.pk]:
        raise Refused("last_manager", LAST_MANAGER)


def make_service_account(by: Identity, department: Department, name: str, role: str) -> Membership:
    """Make an account for a scanner or a script. It has no password, and can do nothing without an API token.

    Args:
        by: who makes it.
        department: the only one that it belongs to.
        name: what it is for. Its user name is made of it.
        role: reader or uploader.

    Raises:
        Refused: ``invalid_role``, ``invalid_name`` or ``name_taken``.
    """
    if role not in (Role.READER, Role.UPLOADER):
        raise Refused("invalid_role", "A service account is a reader or an uploader.")
    if not (short := slugify(name, allow_unicode=True)[:80]):
        raise Refused("invalid_name", "Please name what it is for, with letters or digits.")
    try:
        with transaction.atomic():
            # As create_user() does without a password: an unusable one.
            user = User.objects.create_user(f"{department.slug}.{short}", first_name=clean(name)[:150])
            made = Membership.objects.create(department=department, user=user, role=role, service=True)
            record(by, Action.ROLE_CHANGE, department, person=user.pk, role=role, service=True)
            return made
    except IntegrityError:
        raise Refused("name_taken", "There is an account of this name already. Please choose another one.") from None


@transaction.atomic
def delete_service_account(by: Identity, account: Membership) -> None:
    """Delete a service account and its tokens. What it has sent stays in its department."""
    record(by, Action.ROLE_CHANGE, account.department, person=account.user_id, role="", service=True)
    account.user.delete()


@transaction.atomic
def issue_token(by: Identity, account: Membership, name: str) -> str:
    """Issue an API token for a service account; the token itself, which cannot be had again."""
    record(by, Action.TOKEN_ISSUE, account.department, person=account.user_id)
    return tokens.issue(account.user, name, address=by.address)
