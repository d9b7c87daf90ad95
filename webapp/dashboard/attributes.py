"""Attributes from an image's DICOM file, for its page."""

from datetime import date, time

from django.utils.formats import date_format, time_format
from django.utils.translation import gettext_lazy as _

from webapp.dicom.models import Instance
from webapp.studies.models import Image

#: Labels of the fields of :class:`webapp.dicom.models.Instance` that a page shows.
SHOWN = {
    "study_date": _("Day of the examination"),
    "study_time": _("Time of the examination"),
    "study_description": _("Examination"),
    "modality": _("Modality"),
    "body_part": _("Body part"),
    "view_position": _("View position"),
    "accession_number": _("Accession number"),
    "calling_ae": _("Sent by"),
}


def of_file(image: Image) -> list[tuple[str, str]]:
    """Labels and values of the known attributes; empty if the image was not sent as a DICOM file."""
    if not str(image.file.name).endswith(".dcm"):
        return []
    row = Instance.objects.filter(image=image).values(*SHOWN).first() or {}
    return [(str(SHOWN[name]), _in_words(value)) for name, value in row.items() if value not in (None, "")]


def _in_words(value: str | date | time) -> str:
    if isinstance(value, date):
        return date_format(value, "DATE_FORMAT")
    return time_format(value, "H:i") if isinstance(value, time) else value
