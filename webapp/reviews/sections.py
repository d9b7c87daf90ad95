"""The sections of the worklist, and the positions of images in it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from django.db.models import Case, When
from django.db.models.expressions import Combinable

from webapp.refusals import Refused
from webapp.studies.choices import ResultGroup, ReviewStage

#: The stages of images that still need a reader, in the order of the list for equal urgency and group.
OPEN = (ReviewStage.UNREAD, ReviewStage.SECOND, ReviewStage.DISAGREED)
#: The open stages in which an image already has verdicts, possibly the reader's own.
BEGUN = (ReviewStage.SECOND, ReviewStage.DISAGREED)
#: Groups in the order of the list; within one, the score decides nothing. Unusable images come before those without
#: findings.
GROUPS = (ResultGroup.POSITIVE, ResultGroup.UNCLEAR, ResultGroup.UNUSABLE, ResultGroup.NEGATIVE)
#: The sections in the order of the list. Reviewed images come last.
SECTIONS: list[dict[str, Any]] = [
    {"stage": stage.value, "stat": stat, "group": group.value}
    for stages in (OPEN, (ReviewStage.DONE,))
    for stat in (True, False)
    for group in GROUPS
    for stage in stages
]
RANKS = {tuple(section.values()): rank for rank, section in enumerate(SECTIONS)}


def rank_of_row() -> Combinable:
    """SQL expression for the rank of an image's section. One branch per section would take ten times as long."""
    group = Case(*(When(group=group, then=number) for number, group in enumerate(GROUPS)))
    kind = group + Case(When(stat=True, then=0), default=len(GROUPS))
    stage = Case(*(When(stage=stage, then=number) for number, stage in enumerate(OPEN)))
    return Case(When(stage=ReviewStage.DONE, then=2 * len(GROUPS) * len(OPEN) + kind), default=len(OPEN) * kind + stage)


@dataclass(frozen=True, order=True)
class Place:
    """The position of an image in the list."""

    rank: int
    moment: datetime
    pk: UUID

    def encoded(self, *, backwards: bool = False) -> str:
        return f"{self.rank}_{self.moment.astimezone(UTC):%Y%m%dT%H%M%S%f}_{self.pk.hex}{'_r' if backwards else ''}"

    @classmethod
    def decoded(cls, text: str) -> tuple[Self, bool]:
        """Decode a cursor: a position, and whether the page before it is requested.

        Raises:
            Refused: ``invalid_cursor``.
        """
        try:
            rank, moment, key, *rest = text.split("_")
            if rest not in ([], ["r"]) or not 0 <= int(rank) < len(SECTIONS):
                raise ValueError(text)
            at = datetime.strptime(moment, "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
            return cls(int(rank), at, UUID(key)), bool(rest)
        except ValueError:
            raise Refused(
                "invalid_cursor", "The cursor does not belong to the worklist. Please start at the top."
            ) from None


#: Positions before and after all images of a section; their rank is not used.
FIRST = Place(0, datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
LAST = Place(0, datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
