"""Small statistics in plain Python, since the web process has no numerical library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Of a 95 % interval.
Z = 1.96
#: Fewer observations say nothing worth a number.
FEWEST = 10
#: Probabilities nearer to 0 or 1 count as this near, so that their log-odds are finite.
EDGE = 1e-6


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, and how many observations it rests on."""

    value: float
    low: float
    high: float
    n: int


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share that was found in n observations."""
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def share(found: int, n: int) -> Estimate | None:
    """The share of those found among n; None where these are too few."""
    return Estimate(found / n, *wilson(found / n, n), n) if n >= FEWEST else None


def kappa(both: int, first: int, second: int, neither: int) -> Estimate | None:
    """Cohen's kappa of two who say yes or no; None where there are too few, or both always say the same one thing.

    The interval is that of Fleiss, Cohen & Everitt (Psychological Bulletin 1969), of the table with a half added to
    each field: without that, no disagreement at all would leave an interval of no width.

    Args:
        both: how often both say yes.
        first: how often only the first does.
        second: how often only the second does.
        neither: how often none does.
    """
    table = (both, first, second, neither)
    if (n := sum(table)) < FEWEST or (found := _kappa(table)) is None:
        return None
    value, _ = found
    centre, error = _kappa([field + 0.5 for field in table]) or (value, 0.0)
    low, high = centre - Z * error, centre + Z * error
    return Estimate(value, max(-1.0, min(low, value)), min(1.0, max(high, value)), n)


def _kappa(table: Sequence[float]) -> tuple[float, float] | None:
    """Kappa and its standard error."""
    n = sum(table)
    (yes_yes, yes_no, no_yes, no_no) = (field / n for field in table)
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
    """How far one distribution lies from another.

    Attributes:
        index: the population stability index; 0 where both are the same.
        by_chance: an index that two samples of this size exceed by chance only once in twenty times.
        n: observations in the first sample.
        reference: observations in the second.
    """

    index: float
    by_chance: float
    n: int
    reference: int


def shift(now: Sequence[float], before: Sequence[float]) -> Shift | None:
    """How far one sample lies from another; None where one is empty.

    The index follows a chi-squared distribution where both come from one population (Yurdakul & Naranjo, Journal of
    Risk Model Validation 2020).

    Args:
        now: how many observations lie in each part of the range.
        before: the same of the sample that it is compared with.
    """
    pairs = [(one, other) for one, other in zip(now, before, strict=True) if one or other]
    n, reference = sum(one for one, _ in pairs), sum(other for _, other in pairs)
    if not n or not reference:
        return None
    parts, index = len(pairs), 0.0
    for one, other in pairs:
        # Half an observation more in each part, so that an empty one has a logarithm.
        here, there = (one + 0.5) / (n + 0.5 * parts), (other + 0.5) / (reference + 0.5 * parts)
        index += (here - there) * math.log(here / there)
    by_chance = (1 / n + 1 / reference) * _chi_squared(parts - 1)
    return Shift(index, by_chance, round(n), round(reference))


def _chi_squared(freedom: int) -> float:
    """The 95th percentile, by Wilson and Hilferty's approximation."""
    if not freedom:
        return 0.0
    spread = 2 / (9 * freedom)
    return float(freedom * (1 - spread + 1.645 * math.sqrt(spread)) ** 3)


@dataclass(frozen=True)
class Line:
    """Platt scaling: a line through the log-odds of a probability.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, probability: float) -> float:
        return _probability(self.slope * log_odds(probability) + self.intercept)

    def undo(self, probability: float) -> float:
        """The probability that :meth:`apply` made this one of."""
        return _probability((log_odds(probability) - self.intercept) / self.slope)


def log_odds(probability: float) -> float:
    clipped = min(max(probability, EDGE), 1 - EDGE)
    return math.log(clipped / (1 - clipped))


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, odds))))


def fit_line(probabilities: Sequence[float], truth: Sequence[bool]) -> Line:
    """Fit Platt scaling by Newton's method, as :func:`ml.statistics.calibration.fit` does with scikit-learn.

    Args:
        probabilities: before calibration.
        truth: what each one should have been; both values occur.
    """
    odds = [log_odds(one) for one in probabilities]
    line = Line()
    loss = _loss(line, odds, truth)
    for _ in range(100):
        step = _step(line, odds, truth)
        if max(map(abs, step)) < NEAR:
            return line
        # Newton's step goes too far where one answer is as good as certain.
        for shorter in range(30):
            tried = Line(line.slope - step[0] / 2**shorter, line.intercept - step[1] / 2**shorter)
            if (found := _loss(tried, odds, truth)) < loss:
                break
        else:
            return line
        line, loss = tried, found
    return line


#: A weak penalty of the slope keeps it finite where the classes are perfectly separable.
PENALTY = 0.01
#: A line that the next step moves by less is as good as the best: all that a step of this size changes is rounding.
NEAR = 1e-8


def _loss(line: Line, odds: Sequence[float], truth: Sequence[bool]) -> float:
    slope, intercept, found = line.slope, line.intercept, PENALTY * line.slope**2 / 2
    for one, sick in zip(odds, truth, strict=True):
        against = slope * one + intercept
        if sick:
            against = -against
        # Either way the logarithm of 1 + exp(against), without an exponential that is too great.
        found += against + math.log1p(math.exp(-against)) if against > 0 else math.log1p(math.exp(against))
    return found


def _step(line: Line, odds: Sequence[float], truth: Sequence[bool]) -> tuple[float, float]:
    """Newton's step for the slope and the intercept."""
    by_slope, by_intercept = PENALTY * line.slope, 0.0
    slopes, mixed, intercepts = PENALTY, 0.0, EDGE
    for one, sick in zip(odds, truth, strict=True):
        found = _probability(line.slope * one + line.intercept)
        error, weight = found - sick, found * (1 - found)
        by_slope, by_intercept = by_slope + error * one, by_intercept + error
        slopes, mixed, intercepts = slopes + weight * one * one, mixed + weight * one, intercepts + weight
    determinant = slopes * intercepts - mixed * mixed
    return (
        (intercepts * by_slope - mixed * by_intercept) / determinant,
        (slopes * by_intercept - mixed * by_slope) / determinant,
    )
