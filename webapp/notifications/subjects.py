"""What a delivery is about, and who may still be told of it."""

from typing import Any

from django.contrib.auth.models import User

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.models import Department
from webapp.studies.models import Image, Study
from webapp.studies.outbox.services import ObsoleteError

Subject = Study | Image | Department


def subject_of(payload: dict[str, Any]) -> Subject:
    """The study, the image or, for an alert, the department that a delivery is about.

    Raises:
        ObsoleteError: it was deleted.
    """
    found: Subject | None
    if "alert_in" in payload:
        found = Department.objects.filter(pk=payload["alert_in"]).first()
    elif "study" in payload:
        found = Study.objects.select_related("patient", "department").filter(pk=payload["study"]).first()
    else:
        found = Image.objects.filter(pk=payload["image"]).first()
    if found is None:
        raise ObsoleteError("what it is about was deleted")
    return found


def may_know(person: User, subject: Subject) -> bool:
    """Whether a person may be told of something now: their account is not disabled, and they may see it."""
    if not person.is_active:
        return False
    identity = Identity(user=person)
    if isinstance(subject, Department):
        return permissions.may_manage(identity, subject)
    return permissions.may_see(identity, subject)
