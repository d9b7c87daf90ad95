"""Store the attributes from the header of an image's DICOM file."""

from typing import Any

from django.db.models import CharField

from webapp.dicom.models import Instance
from webapp.studies.files import names
from webapp.studies.models import Image
from webapp.studies.transactions import atomically

#: Attributes of the file that are copied to the instance. All others describe the patient.
FIELDS = [field for field in Instance._meta.concrete_fields if field.name not in ("image", "calling_ae", "results_to")]


@atomically
def keep(image: Image, attributes: dict[str, Any]) -> Instance:
    """Save the attributes of an image's file. They replace existing ones, except for the sender.

    Args:
        image: the saved image.
        attributes: the result of :func:`ml.pictures.dicom.attributes.attributes_of`.
    """
    instance, _ = Instance.objects.update_or_create(image=image, defaults=_values(attributes))
    return instance


def build(image: Image, attributes: dict[str, Any], calling_ae: str) -> Instance:
    """Build the instance of a new image, without saving it.

    Args:
        calling_ae: the sender's AE title; empty if the image came over the web.
    """
    return Instance(image=image, calling_ae=names.clean(calling_ae)[:16], **_values(attributes))


def _values(attributes: dict[str, Any]) -> dict[str, Any]:
    return {field.name: _fitting(field, attributes[field.name]) for field in FIELDS}


def _fitting(field: Any, value: Any) -> Any:
    return names.clean(value)[: field.max_length] if isinstance(field, CharField) else value
