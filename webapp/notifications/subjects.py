"""The subject of a delivery, and who may still be notified of it."""

from typing import Any

from django.contrib.auth.models import User

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.studies.models import Image, Study
from webapp.studies.outbox.services import ObsoleteError

Subject = Study | Image | Department


def subject_of(payload: dict[str, Any]) -> Subject:
    """The subject of a delivery: a study, an image or, for an alert, a department.

    Raises:
        ObsoleteError: it was deleted.
    """
    subject: Subject | None
    if "alert_in" in payload:
        subject = Department.objects.filter(pk=payload["alert_in"]).first()
    elif "study" in payload:
        subject = Study.objects.select_related("patient", "department").filter(pk=payload["study"]).first()
    else:
        subject = Image.objects.filter(pk=payload["image"]).first()
    if subject is None:
        raise ObsoleteError("what it is about was deleted")
    return subject


def may_know(person: User, subject: Subject) -> bool:
    """Whether a person may be notified of a subject now: their account is active, and they may see the subject."""
    if not person.is_active:
        return False
    identity = Identity(user=person)
    if isinstance(subject, Department):
        return permissions.may_manage(identity, subject)
    return permissions.may_see(identity, subject)
