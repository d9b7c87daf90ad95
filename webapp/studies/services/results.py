"""The results of a batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Model:
    """The bundle that produced results.

    Attributes:
        bundle: its name and version.
        threshold: probability from which an image gets the positive label, unless its department has another threshold.
        operating_point: the threshold's name.
        operating_points: all thresholds of the bundle by name.
    """

    bundle: str
    threshold: float
    operating_point: str = ""
    operating_points: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The result of one image.

    Attributes:
        image_id: the image's id.
        probabilities: the probabilities by the bundle's class names.
        probability: the probability of pneumonia.
        label: one of the class names.
        warnings: the warnings, each as ``{code, detail}``.
        heatmap: see :attr:`webapp.studies.models.Reading.heatmap`.
        operating_point: the name of the threshold that gave the label; empty for the model's own.
        distance: see :attr:`webapp.studies.models.Reading.distance`.
        evidence_inside_lungs: see :attr:`webapp.studies.models.Reading.evidence_inside_lungs`.
        calibration: see :attr:`webapp.studies.models.Reading.calibration`.
        operating_points: the thresholds of that calibration by name; empty for the model's own.
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
