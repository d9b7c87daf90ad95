"""Add a person who accepts an invitation to a department as a member."""

from typing import Any

from django.contrib.auth.models import User

from webapp.accounts.identity import Identity
from webapp.accounts.models import Invitation
from webapp.departments import members, permissions
from webapp.departments.models import Department
from webapp.refusals import Refused


def on_accepted(sender: Any, invitation: Invitation, user: User, **kwargs: Any) -> None:
    """Receiver of :data:`webapp.accounts.invitations.accepted`. A user who is a member already keeps their role.

    The inviting user must still be allowed to invite. Otherwise a removed manager could return by their own invitation.
    """
    inviter = Identity(user=invitation.invited_by)
    if invitation.department_id is None:
        _require(inviter.user is not None and permissions.may_invite(inviter.user))
        return
    department = Department.objects.filter(pk=invitation.department_id).first()
    if department is None:
        raise Refused("invitation_not_valid", "The department of this invitation no longer exists.")
    _require(permissions.may_manage(inviter, department))
    members.join(Identity(user=user), user, department, invitation.role)


def _require(allowed: bool) -> None:
    if not allowed:
        raise Refused(
            "invitation_not_valid",
            "The sender of this invitation may no longer invite people. Please get another link.",
        )
