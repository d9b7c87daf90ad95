"""The worklist: what a reader may review, STAT on top, the most suspicious first.

It is divided into sections by what people have to do, urgency and group; in a section the oldest image comes first. An
index has each section of an owner in that order, so that a page is read by as many short walks as there are sections
and owners, some sections in a statement until the page is full.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.db import connection
from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, When
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.access import in_department
from webapp.http.parts import together
from webapp.http.walks import Walks
from webapp.refusals import Refused
from webapp.reviews.models import Review
from webapp.studies.choices import ResultGroup, ReviewStage
from webapp.studies.models import Image
from webapp.studies.querysets import ImageQuerySet

#: What is to be done comes in this order, where urgency and group are the same.
OPEN = (ReviewStage.UNREAD, ReviewStage.SECOND, ReviewStage.DISAGREED)
#: Those of them that have verdicts, one of which may be one's own.
BEGUN = (ReviewStage.SECOND, ReviewStage.DISAGREED)
#: The most suspicious first. What the model could not use comes before what it found nothing in.
GROUPS = (ResultGroup.POSITIVE, ResultGroup.UNCLEAR, ResultGroup.UNUSABLE, ResultGroup.NEGATIVE)
#: The sections in the order of the list; what is reviewed comes last.
SECTIONS: list[dict[str, Any]] = [
    {"stage": stage.value, "stat": stat, "group": group.value}
    for stages in (OPEN, (ReviewStage.DONE,))
    for stat in (True, False)
    for group in GROUPS
    for stage in stages
]
RANKS = {tuple(section.values()): rank for rank, section in enumerate(SECTIONS)}
#: As many images of a section are counted; beyond, the number is only said to be larger.
COUNTED = 100
#: As many sections are looked at in one statement; a page mostly has enough of the first ones.
AT_ONCE = 6


@dataclass(frozen=True, order=True)
class Place:
    """The place of an image in the list."""

    rank: int
    moment: datetime
    pk: UUID

    def encoded(self, *, backwards: bool = False) -> str:
        return f"{self.rank}_{self.moment.astimezone(UTC):%Y%m%dT%H%M%S%f}_{self.pk.hex}{'_r' if backwards else ''}"

    @classmethod
    def decoded(cls, text: str) -> tuple[Self, bool]:
        """A place, and whether the page before it is meant.

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
            raise Refused("invalid_cursor", "The cursor is none of the worklist's. Please begin at its top.") from None

    def beyond(self, *, backwards: bool) -> Q:
        """The condition for rows of the same section after this one, or before it."""
        sign = "lt" if backwards else "gt"
        further = Q(**{f"created_at__{sign}": self.moment}) | Q(**{f"pk__{sign}": self.pk})
        return Q(**{f"created_at__{sign}e": self.moment}) & further


@dataclass(frozen=True)
class Page:
    """Some images, and the cursors of the pages after and before them, where there are any."""

    rows: list[Image]
    next: str
    previous: str


class Worklist:
    """Someone's worklist, narrowed by :class:`webapp.studies.api.filters.WorklistFilters`."""

    def __init__(self, identity: Identity, wanted: dict[str, Any]) -> None:
        """Raises Refused: ``department_not_found``."""
        self.owners = permissions.reviewable_by_owner(identity)
        if "department" in wanted:
            department = in_department(identity, wanted["department"])
            self.owners = [department] if self.owners == [Q()] or department in self.owners else []
        stages = [wanted["stage"]] if "stage" in wanted else [stage.value for stage in OPEN]
        self.sections = {
            rank: section
            for rank, section in enumerate(SECTIONS)
            if self.owners
            and section["stage"] in stages
            and section["group"] == wanted.get("group", section["group"])
            and section["stat"] == (wanted["stat"] == "true" if "stat" in wanted else section["stat"])
        }
        self.study: UUID | None = wanted.get("study")
        self.rows = Image.objects.filter(study=self.study) if self.study else Image.objects.all()
        if "waiting_hours" in wanted:
            since = timezone.now() - timedelta(hours=wanted["waiting_hours"])
            self.rows = self.rows.filter(created_at__lte=since)
        #: Walks by their kind: Django takes longer to write one than a database takes to run it.
        self.made: dict[tuple[bool, Place | None, bool], Walks] = {}
        self.own = Review.objects.filter(image=OuterRef("pk"), reviewer=identity.user)

    def page(self, size: int, cursor: str | None = None, rows: ImageQuerySet | None = None) -> Page:
        """A page of the list.

        Args:
            size: images at most.
            cursor: where it begins; None for the first page.
            rows: what is read of its images; None for everything.

        Raises:
            Refused: ``invalid_cursor``.
        """
        place, backwards = Place.decoded(cursor) if cursor else (None, False)
        found = self._places(size + 1, place, backwards=backwards)
        kept, more = found[:size], len(found) > size
        if backwards:
            kept.reverse()
        after, before = (True, more) if backwards else (more, place is not None)
        return Page(
            _in_order([place.pk for place in kept], rows),
            kept[-1].encoded() if kept and after else "",
            kept[0].encoded(backwards=True) if kept and before else "",
        )

    def neighbours(self, image: Image) -> tuple[UUID | None, UUID | None]:
        """The images before and after one, which need not be in the list itself."""
        place = self.place_of(image)
        found = (self._places(1, place, backwards=backwards) for backwards in (True, False))
        before, after = (places[0].pk if places else None for places in found)
        return before, after

    def place_of(self, image: Image) -> Place:
        """The place of an image; of one that is reviewed, where it was before it was."""
        section = {"stage": image.stage, "stat": image.stat, "group": image.group}
        if image.stage == ReviewStage.DONE and section not in self.sections.values():
            answer = image.result.group if image.result else image.group
            section |= {"stage": OPEN[0].value, "group": answer}
        return Place(SECTIONS.index(section), image.created_at, image.pk)

    def counts(self) -> Counter[int]:
        """Images that are to be read, whatever their stage, urgency and group, by the rank of their section; of each
        section and owner at most one more than :data:`COUNTED`.
        """
        if self.study:
            found = self._rows_of_study().values_list("stage", "stat", "group").annotate(Count("pk"))
            return Counter({RANKS[tuple(section)]: number for *section, number in found if section[0] in OPEN})
        sections: Counter[int] = Counter()
        if not self.owners:
            return sections
        open_ = (rank for rank, section in enumerate(SECTIONS) if section["stage"] in OPEN)
        sql, params = together([walks.counted(COUNTED + 1, parts) for walks, parts in self._walks(open_, None)])
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            for rank, number in cursor.fetchall():
                sections[rank] += int(number)
        return sections

    def _places(self, number: int, place: Place | None, *, backwards: bool = False) -> list[Place]:
        """The first places after one, or the last ones before it, which then come in the opposite order."""
        if self.study:
            return self._of_study(number, place, backwards=backwards)
        way = "DESC" if backwards else "ASC"
        ranks = sorted(self.sections, reverse=backwards)
        if place:
            ranks = [rank for rank in ranks if (rank <= place.rank if backwards else rank >= place.rank)]
        first: list[Place] = []
        # The one image after another is mostly of the same section, and each kind of walk takes its time to write.
        at_once = 1 if place and number == 1 else AT_ONCE
        while ranks and len(first) < number:
            some, ranks, at_once = ranks[:at_once], ranks[at_once:], AT_ONCE
            found = self._walks(some, place, backwards=backwards)
            sql, params = together([walks.first(number, parts) for walks, parts in found])
            rows: Any = Image._base_manager.raw(
                f"SELECT id, created_at, part AS section_rank FROM ({sql}) AS merged "  # noqa: S608  (Django's own SQL; values are apart)
                f"ORDER BY part {way}, created_at {way}, id {way} LIMIT %s",
                [*params, number],
            )
            first += [Place(row.section_rank, row.created_at, row.pk) for row in rows]
        return first[:number]

    def _of_study(self, number: int, place: Place | None, *, backwards: bool) -> list[Place]:
        """The same of a study, whose images an index has together, but in no order of this list."""
        ranks = [When(**section, then=rank) for rank, section in self.sections.items()]
        # The sections are every combination of some values.
        within = {f"{name}__in": {section[name] for section in self.sections.values()} for name in SECTIONS[0]}
        rows = self._rows_of_study().filter(**within).annotate(section_rank=Case(*ranks))
        if place:
            further = Q(**{f"section_rank__{'lt' if backwards else 'gt'}": place.rank})
            rows = rows.filter(further | Q(place.beyond(backwards=backwards), section_rank=place.rank))
        order = [f"{'-' if backwards else ''}{name}" for name in ("section_rank", "created_at", "pk")]
        return [Place(*row) for row in rows.order_by(*order).values_list("section_rank", "created_at", "pk")[:number]]

    def _rows_of_study(self) -> "QuerySet[Image]":
        visible = Q(*self.owners, _connector=Q.OR) if self.owners else Q(pk__in=[])
        # The stage first: few images have one of these, and only their verdicts are looked for.
        return self.rows.filter(visible).exclude(Q(stage__in=BEGUN), Exists(self.own)).exclude(group="").order_by()

    def _walks(
        self, ranks: Iterable[int], place: Place | None, *, backwards: bool = False
    ) -> Iterator[tuple[Walks, dict[int, dict[str, Any]]]]:
        """The walks through some sections: one's own verdicts, and a place, matter in some of them only."""
        kinds: dict[tuple[bool, Place | None, bool], dict[int, dict[str, Any]]] = {}
        for rank in ranks:
            here = place if place and place.rank == rank else None
            kinds.setdefault((SECTIONS[rank]["stage"] in BEGUN, here, backwards), {})[rank] = SECTIONS[rank]
        for kind, sections in kinds.items():
            if kind not in self.made:
                self.made[kind] = Walks(self._rows_of(*kind), self.owners, SECTIONS[0])
            yield self.made[kind], sections

    def _rows_of(self, begun: bool, here: Place | None, backwards: bool) -> "QuerySet[Image]":
        # What someone has read waits for others, and not for them.
        rows = self.rows.filter(~Exists(self.own)) if begun else self.rows
        if here:
            rows = rows.filter(here.beyond(backwards=backwards))
        sign = "-" if backwards else ""
        return rows.order_by(f"{sign}created_at", f"{sign}id")


def _in_order(keys: list[UUID], rows: ImageQuerySet | None) -> list[Image]:
    """Images in the order of their keys."""
    if rows is None:
        rows = Image.objects.select_related("patient", "department", "study").prefetch_related("readings")
    found = rows.in_bulk(keys)
    return [found[key] for key in keys if key in found]
