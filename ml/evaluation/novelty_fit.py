"""Fit the out-of-domain check (:mod:`ml.inference.novelty`) on features of chest X-rays and of other pictures."""

from dataclasses import replace

import numpy as np

from ml.inference.novelty import Check, Features, level

#: Upper bounds of the images used, which keep the fit to some minutes on two cores.
MOST_TRAINING, MOST_HELD_OUT = 1500, 1600
FEWEST = 8
#: Images of each side that are also turned, each in every way.
MOST_TURNED = 120
COMPONENTS = 256
#: These shares of held-out chest X-rays stay below the threshold of the distance and that of each regression, so that
#: less than one in a hundred is flagged.
ACCEPTED, ACCEPTED_UPRIGHT = 0.995, 0.9975
#: Factor on the threshold for chests from other hospitals: those held out are from the same hospital.
ROOM = 1.2
#: The regressions' ``C``: they have few pictures for their many components.
REGULARISATION = 1e-3

#: Features that the check learns from, and others to choose its threshold with.
Sides = tuple[Features, Features]


def fit(training: Features, held_out: Features, turned: Sides, drawn: Sides) -> Check:
    """Learn what chest X-rays look like to a network, from features, each ``(n, d)``.

    Args:
        training: of chest X-rays.
        held_out: of other patients' chest X-rays.
        turned: of some of the training images, turned and inverted, and of some of the held-out ones.
        drawn: of drawings to learn from, and of others to choose the threshold with.

    Raises:
        ValueError: where there are too few.
    """
    if min(map(len, (training, held_out, *turned, *drawn))) < FEWEST:
        raise ValueError(f"the check for other pictures needs at least {FEWEST} training and {FEWEST} held-out images")
    known = level(training)
    mean = known.mean(axis=0)
    _, singular, axes = np.linalg.svd(known - mean, full_matrices=False)
    scales = singular / np.sqrt(len(known))
    # A sixth of the images at most: a variance that a few images decide would be estimated too small.
    count = min(COMPONENTS, max(1, len(known) // 6), len(scales) - 1)
    # In the precision in which they are stored, so that the check is the same after loading.
    stored = (axes[:count] / scales[:count, np.newaxis]).astype(np.float16).astype(np.float32)
    rest = float(np.sqrt((scales[count:] ** 2).sum() / (known.shape[1] - count)))
    blind = np.zeros(count, np.float32)
    check = Check(
        mean.astype(np.float32), stored, scales[:count].astype(np.float32), rest, np.inf, blind, np.inf, blind, np.inf
    )
    check = replace(check, threshold=ROOM * float(np.quantile(check.distances(held_out), ACCEPTED)))
    weights, upright = _regression(check, training, held_out, turned)
    check = replace(check, turned=weights, upright=upright)
    return drawings(check, training, held_out, drawn)


def drawings(check: Check, training: Features, held_out: Features, drawn: Sides) -> Check:
    """The check with its regression of drawings fitted again; arguments as for :func:`fit`."""
    weights, threshold = _regression(check, training, held_out, drawn)
    return replace(check, drawn=weights, familiar=threshold)


def _regression(check: Check, training: Features, held_out: Features, wrong: Sides) -> tuple[Features, float]:
    """Weights of the components that separate chests from other pictures, and the threshold for their sum."""
    from sklearn.linear_model import LogisticRegression

    right, others, held, beyond = (check.components(part)[1] for part in (training, wrong[0], held_out, wrong[1]))
    regression = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=1000)
    regression.fit(np.concatenate([right, others]), np.repeat([0, 1], [len(right), len(others)]))
    weights = regression.coef_[0].astype(np.float32)
    edge = float(np.quantile(held @ weights, ACCEPTED_UPRIGHT))
    # Half of the distance to other pictures is left to chests from elsewhere.
    return weights, max(edge, (edge + float(np.quantile(beyond @ weights, 0.02))) / 2)
