"""Who accepts an invitation to a department becomes its member."""

from typing import Any

from django.contrib.auth.models import User

from webapp.accounts.identity import Identity
from webapp.accounts.models import Invitation
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department, Membership
from webapp.refusals import Refused


def on_accepted(sender: Any, invitation: Invitation, user: User, **kwargs: Any) -> None:
    """Receiver of :data:`webapp.accounts.invitations.accepted`. A role that the user has there already stays."""
    if invitation.department_id is None:
        return
    department = Department.objects.filter(pk=invitation.department_id).first()
    if department is None:
        raise Refused("invitation_not_valid", "The department that this invitation is to no longer exists.")
    _, is_new = Membership.objects.get_or_create(department=department, user=user, defaults={"role": invitation.role})
    if is_new:
        record(Identity(user=user), Action.ROLE_CHANGE, department, role=invitation.role)
