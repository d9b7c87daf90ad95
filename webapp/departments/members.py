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
    """A department's members who are persons, ordered by user name."""
    persons = department.memberships.filter(service=False).select_related("user", "department")
    return persons.order_by("user__username")


def managed_alone(user: User) -> "QuerySet[Department]":
    """The departments of which this user is the only manager."""
    managers = Membership.objects.filter(role=Role.MANAGER)
    others = managers.filter(department=OuterRef("pk")).exclude(user=user)
    return Department.objects.filter(~Exists(others), memberships__in=managers.filter(user=user))


def service_accounts(department: Department) -> "QuerySet[Membership]":
    accounts = department.memberships.filter(service=True).select_related("user", "department")
    return accounts.order_by("user__username")


@transaction.atomic
def join(identity: Identity, user: User, department: Department, role: str) -> Membership:
    """Make a user a member. A user who is a member already keeps their role."""
    if user.memberships.filter(service=True).exists():
        raise Refused("is_service_account", "A service account belongs to its own department only.")
    membership, is_new = Membership.objects.get_or_create(department=department, user=user, defaults={"role": role})
    if is_new:
        record(identity, Action.ROLE_CHANGE, department, person=user.pk, role=role)
    return membership


@transaction.atomic
def add_person(identity: Identity, department: Department, who: str, role: str) -> Membership:
    """Make an existing user a member.

    Args:
        identity: the user who adds them.
        department: the department to join.
        who: the new member's user name or e-mail address.
        role: one of :class:`Role`.

    Raises:
        Refused: ``user_not_found``, ``is_member`` or ``is_service_account``.
    """
    # Not iexact, which is case-sensitive in MariaDB because its collation is.
    users = User.objects.alias(address=Lower("email")).filter(is_active=True)
    matches = list(users.filter(Q(username=who) | Q(address=who.lower()))[:2]) if who else []
    if len(matches) != 1:
        raise Refused("user_not_found", "There is no user with this name or e-mail address, or more than one.")
    if department.memberships.filter(user=matches[0]).exists():
        raise Refused("is_member", "This user is already a member of the department.")
    return join(identity, matches[0], department, role)


def invite(identity: Identity, department: Department, email: str, role: str) -> tuple[Invitation, str]:
    """Invite a person to a department, whether they have an account or not.

    Returns:
        The invitation and its link, which cannot be retrieved later.

    Raises:
        Refused: ``registration_closed``.
    """
    purpose = f"{department.name}, as {Role(role).label.lower()}"
    return invitations.invite(identity, email, department_id=department.pk, role=role, purpose=purpose)


def invited(department: Department) -> "QuerySet[Invitation]":
    """The invitations to a department that can still be accepted, newest first."""
    return invitations.open_ones().filter(department_id=department.pk)


@transaction.atomic
def change_role(identity: Identity, member: Membership, role: str) -> None:
    """Give a person another role.

    Raises:
        Refused: ``last_manager``.
    """
    if role != Role.MANAGER:
        _require_another_manager(member)
    Membership.objects.filter(pk=member.pk).update(role=role)
    member.role = role
    record(identity, Action.ROLE_CHANGE, member.department, person=member.user_id, role=role)


@transaction.atomic
def remove(identity: Identity, member: Membership) -> None:
    """End a person's membership. Their uploads to the department stay there.

    Raises:
        Refused: ``last_manager``.
    """
    _require_another_manager(member)
    record(identity, Action.ROLE_CHANGE, member.department, person=member.user_id, role="")
    member.delete()


def _require_another_manager(member: Membership) -> None:
    # Lock the department: a concurrent request that removes a manager waits here, and then counts anew.
    list(Department.objects.select_for_update().filter(pk=member.department_id))
    managers = Membership.objects.filter(department=member.department_id, role=Role.MANAGER)
    if list(managers.values_list("pk", flat=True)[:2]) == [member.pk]:
        raise Refused("last_manager", LAST_MANAGER)


def make_service_account(identity: Identity, department: Department, name: str, role: str) -> Membership:
    """Create an account for a scanner or a script. It has no password, and can do nothing without an API token.

    Args:
        identity: the user who creates it.
        department: the only department that it belongs to.
        name: what it is for. Its user name is derived from this.
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
            # Without a password, create_user() sets an unusable one.
            user = User.objects.create_user(f"{department.slug}.{short}", first_name=clean(name)[:150])
            account = Membership.objects.create(department=department, user=user, role=role, service=True)
            record(identity, Action.ROLE_CHANGE, department, person=user.pk, role=role, service=True)
            return account
    except IntegrityError:
        raise Refused("name_taken", "An account with this name already exists. Please choose another.") from None


@transaction.atomic
def delete_service_account(identity: Identity, account: Membership) -> None:
    """Delete a service account and its tokens. Its uploads stay in its department."""
    record(identity, Action.ROLE_CHANGE, account.department, person=account.user_id, role="", service=True)
    account.user.delete()


@transaction.atomic
def issue_token(identity: Identity, account: Membership, name: str) -> str:
    """Issue an API token for a service account. Return the token itself, which cannot be retrieved later."""
    record(identity, Action.TOKEN_ISSUE, account.department, person=account.user_id)
    return tokens.issue(account.user, name, address=identity.address)
