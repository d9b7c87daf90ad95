"""Results of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Model:
    """The fields of results that describe their bundle.

    Attributes:
        bundle: its name and version.
        threshold: probability from which an image gets the positive label, unless its department has another.
        operating_point: the threshold's name.
        operating_points: all of the bundle's thresholds by name.
    """

    bundle: str
    threshold: float
    operating_point: str = ""
    operating_points: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The result of one image.

    Attributes:
        probabilities: by the bundle's class names.
        probability: of pneumonia.
        label: one of the class names.
        warnings: ``{code, detail}`` each.
        heatmap: as :attr:`webapp.studies.models.Reading.heatmap`.
        operating_point: the name of the threshold that made the label; the model's own without it.
        distance: as :attr:`webapp.studies.models.Reading.distance`.
        evidence_inside_lungs: as :attr:`webapp.studies.models.Reading.evidence_inside_lungs`.
        calibration: as :attr:`webapp.studies.models.Reading.calibration`.
        operating_points: the thresholds of that calibration by name; the model's own without it.
    """

    image_id: UUID
    probabilities: Mapping[str, float]
    probability: float
    label: str
    warnings: Sequence[dict[str, str]] = ()
    heatmap: bytes = b""
    operating_point: str = ""
    distance: float | None = None
    evidence_inside_lungs: float | None = None
    calibration: Mapping[str, Any] | None = None
    operating_points: Mapping[str, float] = field(default_factory=dict)
