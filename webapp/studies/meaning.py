"""What an answer means where a known share of the children has pneumonia: its predictive value.

By Bayes' rule, from how often the model gave each answer to pneumonias and to normal images when it was measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webapp.statistics import wilson

#: The share of pneumonias that is assumed where nothing is known. Of children who are X-rayed because pneumonia is
#: suspected, 16 % had it in an emergency department (Neuman et al., Pediatrics 2011), in hospitals a third and more.
ASSUMED = 0.2


@dataclass(frozen=True)
class Meaning:
    """How many of the children with an answer have pneumonia.

    Attributes:
        share: of the children with the answer, as far as the figures tell.
        low: the least that the figures allow for.
        high: the most.
        images: X-rays that the model was measured on.
    """

    share: float
    low: float
    high: float
    images: int


def of_answer(answers: Mapping[str, Any], group: str, prevalence: float) -> Meaning | None:
    """What an answer means.

    Args:
        answers: of :class:`webapp.studies.models.Bundle`.
        group: the answer.
        prevalence: the share of pneumonias among the children who are X-rayed.

    Returns:
        None where nothing was measured.
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
    """The share of pneumonias among those with an answer that so many of the sick and of the well get."""
    with_it = prevalence * sick
    return with_it / (with_it + (1 - prevalence) * well)
