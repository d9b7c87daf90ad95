"""Fit the out-of-domain check (:mod:`ml.inference.novelty`) on features of chest X-rays and of other pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.inference.novelty import Check, Features, level

#: Upper bounds of the images used, which keep the fit to some minutes on two cores.
MOST_TRAINING, MOST_HELD_OUT = 240, 240
FEWEST = 8
COMPONENTS = 256
#: These shares of the chests that a threshold is chosen on stay below it: that of the distance, of other pictures, and
#: of chests from the side. The second catches nearly all other pictures, so that the other two may be generous.
ACCEPTED = (0.998, 0.993, 0.998)
#: Factor on the threshold of the distance where there are no chests of other hospitals to choose it on.
ROOM = 1.2
#: The regressions' ``C``: they have few pictures for their many components.
REGULARISATION = 1e-3
#: The regressions in the order of :meth:`ml.inference.novelty.Check.scores`, and the names of their thresholds.
REGRESSIONS = {"drawn": "familiar", "lateral": "frontal"}

#: Features that a regression learns from, and others to choose its threshold with.
Sides = tuple[Features, Features]


@dataclass(frozen=True)
class Lessons:
    """What a check learns from: features, each ``(n, d)``.

    Attributes:
        training: of chest X-rays.
        held_out: of other patients' chest X-rays.
        wrong: by regression (:data:`REGRESSIONS`) what it has to detect; ``lateral`` may be missing.
        elsewhere: of other hospitals' chests, by source.
    """

    training: Features
    held_out: Features
    wrong: Mapping[str, Sides]
    elsewhere: Mapping[str, Features] = field(default_factory=dict)
    _spaces: dict[frozenset[str], Check] = field(default_factory=dict, repr=False)

    def without(self, source: str) -> "Lessons":
        """The same, as if nothing were known of a hospital."""
        return replace(self, elsewhere={name: found for name, found in self.elsewhere.items() if name != source})

    def chests(self) -> Features:
        return np.concatenate([self.training, *self.elsewhere.values()])

    def space(self) -> Check:
        """The components of the chests, in a check that flags nothing. Kept: what is wrong takes no part in it."""
        key = frozenset(self.elsewhere)
        if key not in self._spaces:
            self._spaces[key] = _space(self.chests())
        return self._spaces[key]

    def learnt(self) -> Check:
        """A check with its regressions, without thresholds."""
        space = self.space()
        right = space.components(self.chests())[1]
        weights: dict[str, Any] = {kind: _weights(space, right, sides[0]) for kind, sides in self.wrong.items()}
        return replace(space, **weights)


def fit(lessons: Lessons) -> Check:
    """Learn what chest X-rays look like to a network.

    The thresholds are chosen on held-out chests, and on other hospitals' by checks that have learnt from no chest of
    the same source, so that a hospital that nobody has seen is judged as these are.

    Raises:
        ValueError: where there are too few images.
    """
    counts = [len(side) for sides in lessons.wrong.values() for side in sides]
    if min(len(lessons.training), len(lessons.held_out), *counts) < FEWEST:
        raise ValueError(f"the check for other pictures needs at least {FEWEST} training and {FEWEST} held-out images")
    check = lessons.learnt()
    scores = [check.scores(lessons.held_out)]
    scores += [lessons.without(source).learnt().scores(found) for source, found in lessons.elsewhere.items()]
    edges = np.array([np.quantile(*one) for one in zip(np.concatenate(scores).T, ACCEPTED, strict=True)])
    found = dict(zip(("threshold", *REGRESSIONS.values()), edges.tolist(), strict=True))
    if not lessons.elsewhere:
        found = _with_room(check, lessons, found)
    found |= {name: np.inf for kind, name in REGRESSIONS.items() if kind not in lessons.wrong}
    return replace(check, **found)


def _with_room(check: Check, lessons: Lessons, found: dict[str, float]) -> dict[str, float]:
    """Thresholds that leave room for chests from elsewhere, none of which is known: a fifth of the distance's, and half
    of the way to what each regression has to detect."""
    roomy = {"threshold": found["threshold"] * ROOM}
    for column, (kind, name) in enumerate(REGRESSIONS.items(), 1):
        if kind in lessons.wrong:
            beyond = float(np.quantile(check.scores(lessons.wrong[kind][1])[:, column], 0.02))
            roomy[name] = max(found[name], (found[name] + beyond) / 2)
    return {**found, **roomy}


def _space(chests: Features) -> Check:
    known = level(chests)
    mean = known.mean(axis=0)
    apart = known - mean
    # By the products of each two images, of which there are fewer than features: a few times as fast as an SVD.
    squares, vectors = np.linalg.eigh(apart @ apart.T)
    singular = np.sqrt(np.maximum(squares[::-1], 0))[: known.shape[1]]
    scales = singular / np.sqrt(len(known))
    # A sixth of the images at most: a variance that a few images decide would be estimated too small.
    count = min(COMPONENTS, max(1, len(known) // 6), len(scales) - 1)
    # In the precision in which they are stored, so that the check is the same after loading.
    axes = vectors[:, ::-1][:, :count].T @ apart / singular[:count, np.newaxis]
    stored = (axes / scales[:count, np.newaxis]).astype(np.float16).astype(np.float32)
    rest = float(np.sqrt((scales[count:] ** 2).sum() / (known.shape[1] - count)))
    blind = np.zeros(count, np.float32)
    return Check(
        mean.astype(np.float32), stored, scales[:count].astype(np.float32), rest, np.inf,
        drawn=blind, familiar=np.inf, lateral=blind, frontal=np.inf,
    )  # fmt: skip


def _weights(space: Check, right: NDArray[np.float64], wrong: Features) -> NDArray[np.float32]:
    """Weights of the components, ``(k,)``, that separate chests' components from other pictures."""
    from sklearn.linear_model import LogisticRegression

    others = space.components(wrong)[1]
    regression = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=1000)
    regression.fit(np.concatenate([right, others]), np.repeat([0, 1], [len(right), len(others)]))
    return np.asarray(regression.coef_[0], dtype=np.float32)
