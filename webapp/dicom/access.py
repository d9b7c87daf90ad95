"""Find a destination that someone may see and change: its department's managers, and administrators. Find the DICOM
images that someone may see.
"""

from uuid import UUID

from django.http import Http404

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.dicom.models import Destination
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet


def destination(identity: Identity, pk: UUID) -> Destination:
    """Raises Http404 where there is none that the identity may see."""
    managed = permissions.managed_departments(identity)
    found = Destination.objects.select_related("department").filter(pk=pk, department__in=managed).first()
    if found is None:
        raise Http404
    return found


def dicom_images(identity: Identity) -> ImageQuerySet:
    """The images that came as DICOM files, with their files. Of several versions of an instance it has the first."""
    return (
        Image.objects.visible_to(identity).filter(instance__isnull=False, instance_uid__isnull=False).exclude(file="")
    )
