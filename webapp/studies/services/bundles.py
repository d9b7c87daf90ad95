"""Store the measured figures of model bundles."""

from collections.abc import Mapping
from typing import Any

from webapp.studies.models import Bundle


def keep(name: str, answers: Mapping[str, Any], inputs: Mapping[str, Any] | None = None) -> None:
    """Store a bundle's measured figures, so that its results can be explained as long as they are stored.

    Args:
        name: the bundle's name and version.
        answers: see :class:`webapp.studies.models.Bundle`.
        inputs: see :class:`webapp.studies.models.Bundle`.
    """
    Bundle.objects.update_or_create(name=name, defaults={"answers": dict(answers), "inputs": dict(inputs or {})})
