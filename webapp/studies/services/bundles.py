"""What is known of the models that read images."""

from collections.abc import Mapping
from typing import Any

from webapp.studies.models import Bundle


def keep(name: str, answers: Mapping[str, Any], inputs: Mapping[str, Any] | None = None) -> None:
    """Write down what was measured of a model, so that its results can be explained as long as they are there.

    Args:
        name: of the model.
        answers: as :class:`webapp.studies.models.Bundle` has them.
        inputs: the same.
    """
    Bundle.objects.update_or_create(name=name, defaults={"answers": dict(answers), "inputs": dict(inputs or {})})
