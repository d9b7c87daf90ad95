"""Keep what the header of an image's DICOM file says."""

from typing import Any

from django.db.models import CharField

from webapp.dicom.models import Instance
from webapp.studies.files import names
from webapp.studies.models import Image
from webapp.studies.transactions import atomically

#: The attributes that an instance has of its file; what else that says is about its patient.
FIELDS = [field for field in Instance._meta.concrete_fields if field.name not in ("image", "calling_ae", "results_to")]


@atomically
def keep(image: Image, attributes: dict[str, Any]) -> Instance:
    """Write the attributes of an image's file. What is there already is replaced, but for who sent it.

    Args:
        image: the saved image.
        attributes: as :func:`ml.pictures.dicom.attributes.attributes_of` gives them.
    """
    instance, _ = Instance.objects.update_or_create(image=image, defaults=_values(attributes))
    return instance


def of(image: Image, attributes: dict[str, Any], calling_ae: str) -> Instance:
    """The same of an image that is new, not yet saved.

    Args:
        calling_ae: the AE title that has sent it; empty where it came over the web.
    """
    return Instance(image=image, calling_ae=names.clean(calling_ae)[:16], **_values(attributes))


def _values(attributes: dict[str, Any]) -> dict[str, Any]:
    return {field.name: _fitting(field, attributes[field.name]) for field in FIELDS}


def _fitting(field: Any, value: Any) -> Any:
    return names.clean(value)[: field.max_length] if isinstance(field, CharField) else value
