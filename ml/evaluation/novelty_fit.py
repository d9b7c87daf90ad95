"""Fit the out-of-domain check (:mod:`ml.inference.novelty`) on features of chest X-rays and of other pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.inference.novelty import Check, Features, level

#: The largest numbers of images used, so that the fit takes only some minutes on two cores.
MOST_TRAINING, MOST_HELD_OUT = 240, 240
FEWEST = 8
COMPONENTS = 256
#: The shares of chests that stay below each threshold when it is chosen: the thresholds of the distance, of other
#: pictures, and of chests from the side. The second one catches nearly all other pictures, so the others may be
#: generous.
ACCEPTED = (0.998, 0.993, 0.998)
#: The factor on the threshold of the distance if there are no chests of other hospitals to choose it on.
ROOM = 1.2
#: The ``C`` of the regressions, which have few pictures for their many components.
REGULARISATION = 1e-3
#: The regressions in the order of :meth:`ml.inference.novelty.Check.scores`, with the names of their thresholds.
REGRESSIONS = {"drawn": "familiar", "lateral": "frontal"}

#: The features that a regression is fitted on, and those that its threshold is chosen on.
Sides = tuple[Features, Features]


@dataclass(frozen=True)
class Lessons:
    """The features that a check is fitted on, each ``(n, d)``.

    Attributes:
        training: features of chest X-rays.
        held_out: features of other patients' chest X-rays.
        wrong: for each regression (:data:`REGRESSIONS`), features of the pictures that it has to detect; ``lateral``
            may be missing.
        elsewhere: features of other hospitals' chests, by source.
    """

    training: Features
    held_out: Features
    wrong: Mapping[str, Sides]
    elsewhere: Mapping[str, Features] = field(default_factory=dict)
    _spaces: dict[frozenset[str], Check] = field(default_factory=dict, repr=False)

    def without(self, source: str) -> "Lessons":
        """The same features without those of one hospital."""
        return replace(self, elsewhere={name: features for name, features in self.elsewhere.items() if name != source})

    def chests(self) -> Features:
        return np.concatenate([self.training, *self.elsewhere.values()])

    def space(self) -> Check:
        """The principal components of the chests, as a check that flags nothing. Cached, as ``wrong`` has no effect."""
        key = frozenset(self.elsewhere)
        if key not in self._spaces:
            self._spaces[key] = _space(self.chests())
        return self._spaces[key]

    def fitted(self) -> Check:
        """A check with fitted regressions, but without thresholds."""
        space = self.space()
        right = space.components(self.chests())[1]
        weights: dict[str, Any] = {kind: _weights(space, right, sides[0]) for kind, sides in self.wrong.items()}
        return replace(space, **weights)


def fit(lessons: Lessons) -> Check:
    """Fit a check on a network's features.

    The thresholds are chosen on held-out chests and on other hospitals' chests. Each hospital's chests are scored by a
    check that was fitted without that hospital, so the thresholds also suit hospitals that nobody has seen.

    Raises:
        ValueError: if there are too few images.
    """
    counts = [len(side) for sides in lessons.wrong.values() for side in sides]
    if min(len(lessons.training), len(lessons.held_out), *counts) < FEWEST:
        raise ValueError(f"the check for other pictures needs at least {FEWEST} training and {FEWEST} held-out images")
    check = lessons.fitted()
    scores = [check.scores(lessons.held_out)]
    scores += [lessons.without(source).fitted().scores(features) for source, features in lessons.elsewhere.items()]
    edges = np.array(
        [np.quantile(*scores_and_share) for scores_and_share in zip(np.concatenate(scores).T, ACCEPTED, strict=True)]
    )
    thresholds = dict(zip(("threshold", *REGRESSIONS.values()), edges.tolist(), strict=True))
    if not lessons.elsewhere:
        thresholds = _with_room(check, lessons, thresholds)
    thresholds |= {name: np.inf for kind, name in REGRESSIONS.items() if kind not in lessons.wrong}
    return replace(check, **thresholds)


def _with_room(check: Check, lessons: Lessons, thresholds: dict[str, float]) -> dict[str, float]:
    """Thresholds that leave room for chests from elsewhere, if there are none to fit on.

    The threshold of the distance is raised by a fifth, and each regression's threshold half of the way to the scores of
    the pictures that it has to detect.
    """
    roomy = {"threshold": thresholds["threshold"] * ROOM}
    for column, (kind, name) in enumerate(REGRESSIONS.items(), 1):
        if kind in lessons.wrong:
            beyond = float(np.quantile(check.scores(lessons.wrong[kind][1])[:, column], 0.02))
            roomy[name] = max(thresholds[name], (thresholds[name] + beyond) / 2)
    return {**thresholds, **roomy}


def _space(chests: Features) -> Check:
    normalized = level(chests)
    mean = normalized.mean(axis=0)
    differences = normalized - mean
    # The eigenvectors of the images' inner products: there are fewer images than features, so this is faster than SVD.
    squares, vectors = np.linalg.eigh(differences @ differences.T)
    singular = np.sqrt(np.maximum(squares[::-1], 0))[: normalized.shape[1]]
    scales = singular / np.sqrt(len(normalized))
    # At most a sixth of the images, because a variance estimated from few images would be too small.
    count = min(COMPONENTS, max(1, len(normalized) // 6), len(scales) - 1)
    # Rounded as they are stored, so that the check is the same after loading.
    axes = vectors[:, ::-1][:, :count].T @ differences / singular[:count, np.newaxis]
    stored = (axes / scales[:count, np.newaxis]).astype(np.float16).astype(np.float32)
    rest = float(np.sqrt((scales[count:] ** 2).sum() / (normalized.shape[1] - count)))
    zeros = np.zeros(count, np.float32)
    return Check(
        mean.astype(np.float32), stored, scales[:count].astype(np.float32), rest, np.inf,
        drawn=zeros, familiar=np.inf, lateral=zeros, frontal=np.inf,
    )  # fmt: skip


def _weights(space: Check, chest_components: NDArray[np.float64], wrong: Features) -> NDArray[np.float32]:
    """The weights of the components, ``(k,)``, that separate chests from other pictures."""
    from sklearn.linear_model import LogisticRegression

    other_components = space.components(wrong)[1]
    regression = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=1000)
    regression.fit(
        np.concatenate([chest_components, other_components]),
        np.repeat([0, 1], [len(chest_components), len(other_components)]),
    )
    return np.asarray(regression.coef_[0], dtype=np.float32)
