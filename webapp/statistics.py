"""Small statistics in plain Python, because the web process has no numerical library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Normal quantile of a 95 % interval.
Z = 1.959964
#: With fewer observations, no number is given.
FEWEST = 10
#: Probabilities closer than this to 0 or 1 are clipped, so that their log-odds are finite.
EDGE = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval and the number of observations behind it."""

    value: float
    low: float
    high: float
    n: int


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share observed in n observations."""
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def share(hits: int, n: int) -> Estimate | None:
    """The share of hits among n observations; None if there are too few observations."""
    return Estimate(hits / n, *wilson(hits / n, n), n) if n >= FEWEST else None


def kappa(both: int, first: int, second: int, neither: int) -> Estimate | None:
    """Cohen's kappa of two raters who say yes or no; None if there are too few observations, or both raters always give
    the same answer.

    The interval is that of Fleiss, Cohen & Everitt (Psychological Bulletin 1969), for the table with 0.5 added to each
    cell. Without that, the interval would have no width if the raters never disagree.

    Args:
        both: how often both say yes.
        first: how often only the first says yes.
        second: how often only the second says yes.
        neither: how often neither says yes.
    """
    table = (both, first, second, neither)
    if (n := sum(table)) < FEWEST or (estimate := _kappa(table)) is None:
        return None
    value, _ = estimate
    centre, error = _kappa([cell + 0.5 for cell in table]) or (value, 0.0)
    low, high = centre - Z * error, centre + Z * error
    return Estimate(value, max(-1.0, min(low, value)), min(1.0, max(high, value)), n)


def _kappa(table: Sequence[float]) -> tuple[float, float] | None:
    """Kappa and its standard error."""
    n = sum(table)
    (yes_yes, yes_no, no_yes, no_no) = (cell / n for cell in table)
    first, second = yes_yes + yes_no, yes_yes + no_yes
    by_chance = first * second + (1 - first) * (1 - second)
    if by_chance > 1 - 1e-12:
        return None
    value = (yes_yes + no_no - by_chance) / (1 - by_chance)
    rest = 1 - value
    agree = yes_yes * (1 - (first + second) * rest) ** 2 + no_no * (1 - (2 - first - second) * rest) ** 2
    differ = rest**2 * (yes_no * (second + 1 - first) ** 2 + no_yes * (1 - second + first) ** 2)
    spread = agree + differ - (value - by_chance * rest) ** 2
    return value, math.sqrt(max(0.0, spread) / n) / (1 - by_chance)


@dataclass(frozen=True)
class Shift:
    """How much one distribution differs from another.

    Attributes:
        index: the population stability index; 0 if both are the same.
        by_chance: the index that two samples of these sizes exceed by chance with a probability of 5 %.
        n: number of observations in the first sample.
        reference: number of observations in the second sample.
    """

    index: float
    by_chance: float
    n: int
    reference: int


def shift(now: Sequence[float], before: Sequence[float]) -> Shift | None:
    """How much one sample differs from another; None if one of them is empty.

    If both come from one population, the index follows a chi-squared distribution (Yurdakul & Naranjo, Journal of Risk
    Model Validation 2020).

    Args:
        now: number of observations in each bin.
        before: number of observations in each bin of the reference sample.
    """
    pairs = [(count, other) for count, other in zip(now, before, strict=True) if count or other]
    n, reference = sum(count for count, _ in pairs), sum(other for _, other in pairs)
    if not n or not reference:
        return None
    bins, index = len(pairs), 0.0
    for count, other in pairs:
        # Add half an observation to each bin, so that an empty bin has a logarithm.
        p, q = (count + 0.5) / (n + 0.5 * bins), (other + 0.5) / (reference + 0.5 * bins)
        index += (p - q) * math.log(p / q)
    by_chance = (1 / n + 1 / reference) * _chi_squared(bins - 1)
    return Shift(index, by_chance, round(n), round(reference))


def _chi_squared(degrees: int) -> float:
    """The 95th percentile of the chi-squared distribution, by Wilson and Hilferty's approximation."""
    if not degrees:
        return 0.0
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + 1.645 * math.sqrt(spread)) ** 3)


@dataclass(frozen=True)
class Line:
    """Platt scaling: a linear function of the log-odds of a probability.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probability: float) -> float:
        return _probability(self.slope * log_odds(probability) + self.intercept)

    def undo(self, probability: float) -> float:
        """The probability from which :meth:`apply` computes this one."""
        return _probability((log_odds(probability) - self.intercept) / self.slope)


def log_odds(probability: float) -> float:
    clipped = min(max(probability, EDGE), 1 - EDGE)
    return math.log(clipped / (1 - clipped))


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, odds))))


def fit_line(probabilities: Sequence[float], truth: Sequence[bool]) -> Line:
    """Fit Platt scaling by Newton's method, as :func:`ml.statistics.calibration.fit` does with scikit-learn.

    Args:
        probabilities: probabilities before calibration.
        truth: the true class of each; both classes must occur.
    """
    odds = [log_odds(probability) for probability in probabilities]
    line = Line()
    loss = _loss(line, odds, truth)
    for _ in range(100):
        step = _step(line, odds, truth)
        if max(map(abs, step)) < NEAR:
            return line
        # Newton's step can go too far if an answer is almost certain.
        for shorter in range(30):
            tried = Line(line.slope - step[0] / 2**shorter, line.intercept - step[1] / 2**shorter)
            if (tried_loss := _loss(tried, odds, truth)) < loss:
                break
        else:
            return line
        line, loss = tried, tried_loss
    return line


#: A weak penalty on the slope keeps it finite if the classes are perfectly separable.
PENALTY = 0.01
#: The fit ends when the next step is smaller than this, since such a step only changes rounding errors.
NEAR = 1e-8


def _loss(line: Line, odds: Sequence[float], truth: Sequence[bool]) -> float:
    slope, intercept, loss = line.slope, line.intercept, PENALTY * line.slope**2 / 2
    for value, sick in zip(odds, truth, strict=True):
        margin = slope * value + intercept
        if sick:
            margin = -margin
        # Both forms are log(1 + exp(margin)); the first avoids an overflow of the exponential.
        loss += margin + math.log1p(math.exp(-margin)) if margin > 0 else math.log1p(math.exp(margin))
    return loss


def _step(line: Line, odds: Sequence[float], truth: Sequence[bool]) -> tuple[float, float]:
    """Newton's step for the slope and the intercept."""
    by_slope, by_intercept = PENALTY * line.slope, 0.0
    slopes, mixed, intercepts = PENALTY, 0.0, EDGE
    for value, sick in zip(odds, truth, strict=True):
        predicted = _probability(line.slope * value + line.intercept)
        error, weight = predicted - sick, predicted * (1 - predicted)
        by_slope, by_intercept = by_slope + error * value, by_intercept + error
        slopes, mixed, intercepts = slopes + weight * value * value, mixed + weight * value, intercepts + weight
    determinant = slopes * intercepts - mixed * mixed
    return (
        (intercepts * by_slope - mixed * by_intercept) / determinant,
        (slopes * by_intercept - mixed * by_slope) / determinant,
    )
