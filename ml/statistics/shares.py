"""95 % intervals of figures of which only the value and the number of observations are known."""

import math

Z = 1.959964


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share among n observations. Unlike a bootstrap's it has a width for 0 and 1, too.

    ``webapp.statistics`` has a copy, since neither module may import the other. A test compares the two.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def hanley_mcneil(auc: float, sick: int, well: int) -> tuple[float, float]:
    """The interval of a ROC AUC whose single answers are not known.

    Source: Hanley & McNeil, "The meaning and use of the area under a ROC curve", Radiology 1982.
    """
    two_sick, two_well = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (sick - 1) * (two_sick - auc**2) + (well - 1) * (two_well - auc**2)
    half = Z * math.sqrt(variance / (sick * well))
    return max(0.0, auc - half), min(1.0, auc + half)
