"""The predictive value of an answer: what it means if a known share of the children has pneumonia.

It follows by Bayes' rule from how often the model gave each answer to pneumonias and to normal images when it was
measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webapp.statistics import wilson

#: The share of pneumonias that is assumed if nothing is known. Among children who were X-rayed because of suspected
#: pneumonia, 16 % had it in an emergency department (Neuman et al., Pediatrics 2011), and a third or more in hospitals.
ASSUMED = 0.2


@dataclass(frozen=True)
class Meaning:
    """The share of children with an answer who have pneumonia.

    Attributes:
        share: the estimate.
        low: the lower bound.
        high: the upper bound.
        images: the number of X-rays that the model was measured on.
    """

    share: float
    low: float
    high: float
    images: int


def of_answer(answers: Mapping[str, Any], group: str, prevalence: float) -> Meaning | None:
    """Return what an answer means.

    Args:
        answers: the answers of a :class:`webapp.studies.models.Bundle`.
        group: the answer.
        prevalence: the share of pneumonias among the children who are X-rayed.

    Returns:
        The meaning, or None if nothing was measured.
    """
    sick, well = answers.get("pneumonia", {}), answers.get("normal", {})
    if group not in sick or group not in well or not sick[group] + well[group]:
        return None
    sick_low, sick_high = wilson(sick[group], sick["images"])
    well_low, well_high = wilson(well[group], well["images"])
    return Meaning(
        _predictive(prevalence, sick[group], well[group]),
        _predictive(prevalence, sick_low, well_high),
        _predictive(prevalence, sick_high, well_low),
        sick["images"] + well["images"],
    )


def _predictive(prevalence: float, sick: float, well: float) -> float:
    """Return the share of pneumonias among children with an answer that these shares of the sick and the well get."""
    sick_with_answer = prevalence * sick
    return sick_with_answer / (sick_with_answer + (1 - prevalence) * well)
