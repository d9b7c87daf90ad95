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
    """How many rows of each model are a department's, and go with it."""
    models: tuple[type[Model], ...] = (Patient, Study, Image)
    found = {model: model._base_manager.filter(department=department).count() for model in models}
    return {model: number for model, number in found.items() if number}


def delete_department(department: Department, by: Identity) -> Deleted:
    """Delete a department with everything that it owns, its memberships and its service accounts.

    If the process dies half-way the department is still there, and can be deleted again.

    Args:
        department: the one to delete.
        by: who does it, for the audit.
    """
    deleted = Deleted()
    for attempt in range(1, ATTEMPTS + 1):
        deletion.delete_all_of(Q(department=department), deleted)
        try:
            _delete_empty(department, by, deleted)
            break
        except IntegrityError:
            # More was sent to it in between.
            if attempt == ATTEMPTS:
                raise
    return deletion.logged(f"department {department.pk}", deleted)


@atomically
def _delete_empty(department: Department, by: Identity, deleted: Deleted) -> None:
    rows = Department.objects.filter(pk=department.pk)
    deletion.lock(rows)
    record(by, Action.DELETE, department)
    accounts = User.objects.filter(memberships__department=department, memberships__service=True)
    deletion.delete_rows(accounts, set(), deleted)
    deletion.delete_rows(rows, set(), deleted)
