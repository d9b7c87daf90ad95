"""Delete an account with everything that is its person's own."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model, ProtectedError, Q

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import members
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services.deletion import ATTEMPTS, Deleted, delete_all_of, delete_rows, lock, logged
from webapp.studies.transactions import atomically


def count_of_person(user: User) -> dict[type[Model], int]:
    """How many rows of each model are a person's own, and go with their account."""
    models: tuple[Any, ...] = (Patient, Study, Image)
    found = {model: model.objects.filter(owner=user).count() for model in models}
    return {model: number for model, number in found.items() if number}


def delete_person(user: User, by: Identity) -> Deleted:
    """Delete an account with everything that the person owns. Their uploads to departments stay there.

    If the process dies half-way the account is still there, and can be deleted again.

    Args:
        by: who does it, for the audit.

    Raises:
        Refused: ``last_manager`` of a department; then nothing is deleted.
    """
    _leave_departments(user, by)
    deleted = Deleted()
    for attempt in range(1, ATTEMPTS + 1):
        delete_all_of(Q(owner=user), deleted)
        try:
            _delete_account(user, by, deleted)
            break
        except ProtectedError:
            # Another upload of theirs arrived in between.
            if attempt == ATTEMPTS:
                raise
    return logged(f"user {user.pk}", deleted)


@atomically
def _leave_departments(user: User, by: Identity) -> None:
    for member in user.memberships.select_related("department"):
        members.remove(by, member)


@atomically
def _delete_account(user: User, by: Identity, deleted: Deleted) -> None:
    rows = User.objects.filter(pk=user.pk)
    lock(rows)
    record(by, Action.DELETE, user)
    delete_rows(rows, set(), deleted)
