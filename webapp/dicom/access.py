"""Find a destination that someone may see and change: its department's managers, and administrators."""

from uuid import UUID

from django.http import Http404

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.dicom.models import Destination


def destination(identity: Identity, pk: UUID) -> Destination:
    """Raises Http404 where there is none that the identity may see."""
    managed = permissions.managed_departments(identity)
    found = Destination.objects.select_related("department").filter(pk=pk, department__in=managed).first()
    if found is None:
        raise Http404
    return found
