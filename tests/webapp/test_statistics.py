"""Small statistics in plain Python."""

import random

import pytest

from ml.statistics import shares
from webapp import statistics


def test_a_share_has_wilsons_interval_and_needs_ten_observations() -> None:
    found = statistics.share(0, 10)
    assert found
    assert (found.value, found.low, found.n) == (0, 0, 10)
    assert found.high == pytest.approx(0.2775, abs=1e-4)
    assert statistics.share(9, 9) is None


@pytest.mark.parametrize(("share", "n"), [(0.0, 10), (0.3, 10), (0.97, 955), (1.0, 26)])
def test_cards_and_pages_have_the_same_interval(share: float, n: int) -> None:
    assert shares.wilson(share, n) == pytest.approx(statistics.wilson(share, n), abs=1e-6)


def test_kappa_is_agreement_beyond_chance() -> None:
    found = statistics.kappa(20, 5, 10, 15)
    assert found
    assert found.value == pytest.approx(0.4)
    assert (found.low, found.high) == pytest.approx((0.14, 0.64), abs=0.02)
    assert statistics.kappa(0, 0, 0, 40) is None, "nobody ever said yes"
    assert statistics.kappa(2, 2, 2, 3) is None, "nine observations are too few"


def test_kappa_without_disagreement_still_has_an_interval() -> None:
    few, many = statistics.kappa(10, 0, 0, 10), statistics.kappa(500, 0, 0, 500)
    assert few
    assert many
    assert (few.value, few.high, many.value) == (1, 1, 1)
    assert few.low < 0.9 < many.low


def test_the_interval_of_kappa_has_its_stated_coverage() -> None:
    generator, inside = random.Random(7), 0
    truth = (0.35, 0.1, 0.1, 0.45)
    exact = statistics.kappa(*(round(10_000 * share) for share in truth))
    assert exact
    for _ in range(300):
        cells = generator.choices(range(4), truth, k=80)
        found = statistics.kappa(*(cells.count(cell) for cell in range(4)))
        inside += bool(found and found.low <= exact.value <= found.high)
    assert 0.91 < inside / 300 < 0.99


def test_samples_of_one_population_exceed_the_limit_once_in_twenty_times() -> None:
    generator, beyond = random.Random(7), 0
    shares = [0.1, 0.2, 0.3, 0.25, 0.15]

    def sample(n: int) -> list[int]:
        found = generator.choices(range(5), shares, k=n)
        return [found.count(part) for part in range(5)]

    for _ in range(400):
        found = statistics.shift(sample(200), sample(500))
        assert found
        beyond += found.index > found.by_chance
    assert 0.02 < beyond / 400 < 0.08


def test_the_index_grows_when_the_distribution_changes() -> None:
    assert statistics.shift([50, 50, 0], [500, 500, 0]).index == pytest.approx(0, abs=1e-3)
    assert statistics.shift([0, 50, 50], [500, 500, 0]).index > 1
    assert statistics.shift([0, 0], [1, 2]) is None
