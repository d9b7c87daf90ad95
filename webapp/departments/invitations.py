"""Make the person who accepts an invitation to a department its member."""

from typing import Any

from django.contrib.auth.models import User

from webapp.accounts.identity import Identity
from webapp.accounts.models import Invitation
from webapp.departments import members, permissions
from webapp.departments.models import Department
from webapp.refusals import Refused


def on_accepted(sender: Any, invitation: Invitation, user: User, **kwargs: Any) -> None:
    """Receiver of :data:`webapp.accounts.invitations.accepted`. A role that the user has there already stays.

    Who has invited must still be allowed to: otherwise a manager could return by an invitation of their own.
    """
    by = Identity(user=invitation.invited_by)
    if invitation.department_id is None:
        _require(by.user is not None and permissions.may_invite(by.user))
        return
    department = Department.objects.filter(pk=invitation.department_id).first()
    if department is None:
        raise Refused("invitation_not_valid", "The department that this invitation is to no longer exists.")
    _require(permissions.may_manage(by, department))
    members.join(Identity(user=user), user, department, invitation.role)


def _require(allowed: bool) -> None:
    if not allowed:
        raise Refused("invitation_not_valid", "Whoever sent this invitation may not invite any more. Get another link.")
