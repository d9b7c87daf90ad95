"""Delete an account with everything that its person owns."""

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
    """Return how many rows of each model a person owns, which are deleted with their account."""
    models: tuple[Any, ...] = (Patient, Study, Image)
    counts = {model: model.objects.filter(owner=user).count() for model in models}
    return {model: number for model, number in counts.items() if number}


def delete_person(user: User, identity: Identity) -> Deleted:
    """Delete an account with everything that the person owns. Their uploads to departments stay.

    If the process dies half-way, the account still exists and can be deleted again.

    Args:
        user: the account.
        identity: who deletes it, for the audit.

    Raises:
        Refused: ``last_manager`` if the person is the last manager of a department. Then nothing is deleted.
    """
    _leave_departments(user, identity)
    deleted = Deleted()
    for attempt in range(1, ATTEMPTS + 1):
        delete_all_of(Q(owner=user), deleted)
        try:
            _delete_account(user, identity, deleted)
            break
        except ProtectedError:
            # The person sent another upload in between.
            if attempt == ATTEMPTS:
                raise
    return logged(f"user {user.pk}", deleted)


@atomically
def _leave_departments(user: User, identity: Identity) -> None:
    for member in user.memberships.select_related("department"):
        members.remove(identity, member)


@atomically
def _delete_account(user: User, identity: Identity, deleted: Deleted) -> None:
    rows = User.objects.filter(pk=user.pk)
    lock(rows)
    record(identity, Action.DELETE, user)
    delete_rows(rows, set(), deleted)
