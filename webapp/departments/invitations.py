"""Make the person who accepts an invitation to a department its member."""

from typing import Any

from django.contrib.auth.models import User

from webapp.accounts.identity import Identity
from webapp.accounts.models import Invitation
from webapp.departments import members
from webapp.departments.models import Department
from webapp.refusals import Refused


def on_accepted(sender: Any, invitation: Invitation, user: User, **kwargs: Any) -> None:
    """Receiver of :data:`webapp.accounts.invitations.accepted`. A role that the user has there already stays."""
    if invitation.department_id is None:
        return
    department = Department.objects.filter(pk=invitation.department_id).first()
    if department is None:
        raise Refused("invitation_not_valid", "The department that this invitation is to no longer exists.")
    members.join(Identity(user=user), user, department, invitation.role)
