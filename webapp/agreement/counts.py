"""The counts of a month, and their sums."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from webapp.agreement.features import ANSWERS, FEATURES
from webapp.studies.choices import ResultGroup, ReviewStage, Verdict

#: The state of an image that has no final verdict.
UNREAD, AWAITED, DISAGREED = "unread", "second", "disagreed"
#: The verdicts that the model's answers are compared with.
COMPARED = (Verdict.PNEUMONIA, Verdict.NORMAL)
TENTHS = 10


def verdict_or_reason(stage: str, verdict: str) -> str:
    """The final verdict of an image, or why it has none."""
    if stage == ReviewStage.DONE and verdict:
        return verdict
    return stage if stage in (AWAITED, DISAGREED) else UNREAD


@dataclass
class Counts:
    """Counts of the images that one model has read.

    Attributes:
        answers: the number of images for each answer and verdict, with keys such as ``"positive/NORMAL"``.
        scores: for each tenth of the score, the number of images with a verdict to compare with, how many of these
            are pneumonias by that verdict, and the sum of their scores.
        features: for each feature, the number of images in each bin.
    """

    answers: dict[str, int] = field(default_factory=dict)
    scores: list[list[float]] = field(default_factory=lambda: [[0, 0, 0.0] for _ in range(TENTHS)])
    features: dict[str, list[int]] = field(default_factory=lambda: {one.name: [0] * one.parts for one in FEATURES})

    def add(self, group: str, score: float, verdict: str, values: dict[str, float | None]) -> None:
        """Count an image.

        Args:
            group: the model's answer.
            score: the model's probability of pneumonia.
            verdict: the return value of :func:`verdict_or_reason`.
            values: the value of each feature, None where it is unknown.
        """
        key = f"{group}/{verdict}"
        self.answers[key] = self.answers.get(key, 0) + 1
        if group in ANSWERS and verdict in COMPARED:
            score_tenth = self.scores[min(int(score * TENTHS), TENTHS - 1)]
            score_tenth[0] += 1
            score_tenth[1] += verdict == Verdict.PNEUMONIA
            score_tenth[2] += score
        for feature in FEATURES:
            if (value := values[feature.name]) is not None:
                self.features[feature.name][feature.place(value)] += 1

    def number_of(self, groups: Iterable[str] = tuple(ResultGroup), verdicts: Iterable[str] | None = None) -> int:
        """The number of images with one of these answers and one of these verdicts. By default any verdict counts."""
        answers, allowed = set(groups), None if verdicts is None else set(verdicts)
        return sum(
            count
            for key, count in self.answers.items()
            if (parts := key.split("/"))[0] in answers and (allowed is None or parts[1] in allowed)
        )

    @property
    def images(self) -> int:
        return sum(self.answers.values())

    @property
    def by_answer(self) -> list[int]:
        return [self.number_of((group,)) for group in ANSWERS]

    def to_json(self) -> dict[str, Any]:
        return {"answers": self.answers, "scores": self.scores, "features": self.features}

    @classmethod
    def total(cls, figures: Iterable[dict[str, Any]]) -> Self:
        """The sum of stored counts. A feature that was stored with another number of bins is left out."""
        summed = cls()
        for month in figures:
            for key, number in month["answers"].items():
                summed.answers[key] = summed.answers.get(key, 0) + number
            for tenth, more in zip(summed.scores, month["scores"], strict=True):
                tenth[:] = [before + added for before, added in zip(tenth, more, strict=True)]
            for name, added_bins in month["features"].items():
                if len(added_bins) == len(bins := summed.features.get(name, [])):
                    summed.features[name] = [before + added for before, added in zip(bins, added_bins, strict=True)]
        return summed
