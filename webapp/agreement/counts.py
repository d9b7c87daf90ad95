"""What is counted of each month, and the sums of months."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from webapp.agreement.features import ANSWERS, FEATURES
from webapp.studies.choices import ResultGroup, ReviewStage, Verdict

#: Readers' verdicts of an image where no verdict stands.
UNREAD, AWAITED, DISAGREED = "unread", "second", "disagreed"
#: The verdicts that a model's answer is compared with.
COMPARED = (Verdict.PNEUMONIA, Verdict.NORMAL)
TENTHS = 10


def said(stage: str, verdict: str) -> str:
    """Readers' verdicts of an image: the verdict that stands, or why none does."""
    if stage == ReviewStage.DONE and verdict:
        return verdict
    return stage if stage in (AWAITED, DISAGREED) else UNREAD


@dataclass
class Counts:
    """Images that one model has read.

    Attributes:
        answers: how many there are by the model's answer and by what readers say, as ``"positive/NORMAL"``.
        scores: for each tenth of the score how many have a verdict to compare with, how many of these are pneumonias by
            it, and the sum of their scores.
        features: for each feature how many lie in each part of its range.
    """

    answers: dict[str, int] = field(default_factory=dict)
    scores: list[list[float]] = field(default_factory=lambda: [[0, 0, 0.0] for _ in range(TENTHS)])
    features: dict[str, list[int]] = field(default_factory=lambda: {one.name: [0] * one.parts for one in FEATURES})

    def add(self, group: str, score: float, verdict: str, values: dict[str, float | None]) -> None:
        """Count an image.

        Args:
            group: the model's answer.
            score: of pneumonia.
            verdict: of :func:`said`.
            values: of each feature, None where it is not known.
        """
        key = f"{group}/{verdict}"
        self.answers[key] = self.answers.get(key, 0) + 1
        if group in ANSWERS and verdict in COMPARED:
            tenth = self.scores[min(int(score * TENTHS), TENTHS - 1)]
            tenth[0] += 1
            tenth[1] += verdict == Verdict.PNEUMONIA
            tenth[2] += score
        for feature in FEATURES:
            if (value := values[feature.name]) is not None:
                self.features[feature.name][feature.place(value)] += 1

    def of(self, groups: Iterable[str] = tuple(ResultGroup), verdicts: Iterable[str] | None = None) -> int:
        """How many got one of these answers and have one of these verdicts; any without."""
        wanted, whose = set(groups), None if verdicts is None else set(verdicts)
        return sum(
            number
            for key, number in self.answers.items()
            if (parts := key.split("/"))[0] in wanted and (whose is None or parts[1] in whose)
        )

    @property
    def images(self) -> int:
        return sum(self.answers.values())

    @property
    def by_answer(self) -> list[int]:
        return [self.of((group,)) for group in ANSWERS]

    def to_json(self) -> dict[str, Any]:
        return {"answers": self.answers, "scores": self.scores, "features": self.features}

    @classmethod
    def total(cls, figures: Iterable[dict[str, Any]]) -> Self:
        """The sum of what was counted. A feature whose range was divided otherwise then is left out."""
        found = cls()
        for one in figures:
            for key, number in one["answers"].items():
                found.answers[key] = found.answers.get(key, 0) + number
            for tenth, more in zip(found.scores, one["scores"], strict=True):
                tenth[:] = [before + added for before, added in zip(tenth, more, strict=True)]
            for name, parts in one["features"].items():
                if len(parts) == len(known := found.features.get(name, [])):
                    found.features[name] = [before + added for before, added in zip(known, parts, strict=True)]
        return found
