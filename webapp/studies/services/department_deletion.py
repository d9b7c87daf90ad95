"""Delete departments with everything that they own."""

from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import Model, Q

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.studies.models import Image, Patient, Study
from webapp.studies.services import deletion
from webapp.studies.services.deletion import ATTEMPTS, Deleted
from webapp.studies.transactions import atomically


def count_of_department(department: Department) -> dict[type[Model], int]:
    """Return how many rows of each model a department owns, which are deleted with it."""
    models: tuple[type[Model], ...] = (Patient, Study, Image)
    counts = {model: model._base_manager.filter(department=department).count() for model in models}
    return {model: number for model, number in counts.items() if number}


def delete_department(department: Department, identity: Identity) -> Deleted:
    """Delete a department with everything that it owns, its memberships and its service accounts.

    If the process dies half-way, the department still exists and can be deleted again.

    Args:
        department: the department.
        identity: who deletes it, for the audit.
    """
    deleted = Deleted()
    for attempt in range(1, ATTEMPTS + 1):
        deletion.delete_all_of(Q(department=department), deleted)
        try:
            _delete_empty(department, identity, deleted)
            break
        except IntegrityError:
            # Something was sent to the department in between.
            if attempt == ATTEMPTS:
                raise
    return deletion.logged(f"department {department.pk}", deleted)


@atomically
def _delete_empty(department: Department, identity: Identity, deleted: Deleted) -> None:
    rows = Department.objects.filter(pk=department.pk)
    deletion.lock(rows)
    record(identity, Action.DELETE, department)
    accounts = User.objects.filter(memberships__department=department, memberships__service=True)
    deletion.delete_rows(accounts, set(), deleted)
    deletion.delete_rows(rows, set(), deleted)
