"""The worklist: what a reader may review, STAT on top, the most suspicious first.

It is divided into sections by what people have to do, urgency and group; in a section the oldest image comes first. An
index has each section of an owner in that order, so that a page is read by as many short walks as there are sections
and owners, some sections in a statement until the page is full.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.departments import permissions
from webapp.departments.access import in_department
from webapp.http.parts import Slot, Statement, fill_slots
from webapp.http.walks import Walks
from webapp.reviews.models import Review
from webapp.reviews.sections import BEGUN, FIRST, LAST, OPEN, RANKS, SECTIONS, Place, rank_of_row
from webapp.studies.choices import ReviewStage
from webapp.studies.models import Image, Study
from webapp.studies.querysets import ImageQuerySet

#: As many images of a section are counted; beyond, the number is only said to be larger.
COUNTED = 100
#: As many sections are looked at in one statement; a page mostly has enough of the first ones.
AT_ONCE = 6
#: What a walk is told beside its section: after which image it begins, until when images came, and who reads.
SLOTS = ("moment", "key", "until", "reader")
COLUMNS: list[Any] = [Image._meta.get_field(name) for name in ("created_at", "id", "created_at")]
#: The statements of walks on and back.
WRITTEN: dict[bool, dict[Any, Statement]] = {False: {}, True: {}}
#: Those of the images of a study, by what else differs in their text.
OF_STUDY: dict[Any, Statement] = {}


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
        self.reviews = bool(self.owners)
        self.study: UUID | None = wanted.get("study")
        if self.study and self.owners:
            # All images of a study have its owner.
            owned = Q(*self.owners, _connector=Q.OR)
            self.owners = self.owners if Study.objects.filter(owned, pk=self.study).exists() else []
        stages = [wanted["stage"]] if "stage" in wanted else [stage.value for stage in OPEN]
        self.sections = {
            rank: section
            for rank, section in enumerate(SECTIONS)
            if self.owners
            and section["stage"] in stages
            and section["group"] == wanted.get("group", section["group"])
            and section["stat"] == (wanted["stat"] == "true" if "stat" in wanted else section["stat"])
        }
        self.user = identity.user
        hours = wanted.get("waiting_hours")
        self.until = LAST.moment if hours is None else timezone.now() - timedelta(hours=hours)

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
        """Images that are to be read, whatever their stage, urgency and group, by the rank of their section; a
        number above :data:`COUNTED` only says that there are more.
        """
        sections: Counter[int] = Counter()
        if not self.owners:
            return sections
        if self.study:
            rows = _rows_of_study(self.user, self.study, self.until)
            found = rows.values_list("stage", "stat", "group").annotate(Count("pk"))
            return Counter({RANKS[tuple(section)]: number for *section, number in found if section[0] in OPEN})
        open_ = (rank for rank, section in enumerate(SECTIONS) if section["stage"] in OPEN)
        sql, params = self._walks().counted(COUNTED + 1, self._parts(open_))
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
        # The one image after another is mostly of the same section.
        at_once = 1 if place and number == 1 else AT_ONCE
        walks = self._walks(backwards=backwards)
        while ranks and len(first) < number:
            some, ranks, at_once = ranks[:at_once], ranks[at_once:], AT_ONCE
            sql, params = walks.first(number, self._parts(some, place, backwards=backwards))
            first += _read_places(
                f"SELECT id, created_at, part AS section_rank FROM ({sql}) AS merged "  # noqa: S608  (Django's own SQL; values are apart)
                f"ORDER BY part {way}, created_at {way}, id {way} LIMIT %s",
                [*params, number],
            )
        return first[:number]

    def _of_study(self, number: int, place: Place | None, *, backwards: bool) -> list[Place]:
        """The same of a study, whose images an index has together, but in no order of this list."""
        if not self.sections:
            return []
        kind = (backwards, place is None, *self.sections)
        if kind not in OF_STUDY:
            OF_STUDY[kind] = self._write_of_study(beyond=place is not None, backwards=backwards)
        sql, params = OF_STUDY[kind]
        begin = place or FIRST
        study = Image._meta.get_field("study").get_db_prep_value(self.study, connection)
        values = {"study": study, "rank": begin.rank, **SECTIONS[begin.rank], **self._slots(begin, backwards=backwards)}
        return _read_places(f"{sql} LIMIT {number}", fill_slots(params, values))

    def _write_of_study(self, *, beyond: bool, backwards: bool) -> Statement:
        moment, key, until, reader = map(Slot, SLOTS)
        # The sections are every combination of some values.
        within = {f"{name}__in": {section[name] for section in self.sections.values()} for name in SECTIONS[0]}
        rows = _rows_of_study(reader, Slot("study"), until).filter(**within).annotate(section_rank=rank_of_row())
        if beyond:
            further = Q(**{f"section_rank__{'lt' if backwards else 'gt'}": Slot("rank")})
            own = {name: Slot(name) for name in SECTIONS[0]}
            rows = rows.filter(further | Q(_beyond(moment, key, backwards=backwards), **own))
        order = [f"{'-' if backwards else ''}{name}" for name in ("section_rank", "created_at", "id")]
        written: Statement = (
            rows.order_by(*order).values_list("section_rank", "created_at", "id").query.sql_with_params()
        )
        return written

    def _walks(self, *, backwards: bool = False) -> Walks:
        """The walks through sections, which begin where :meth:`_parts` says."""
        return Walks(Image, partial(_in_walk, backwards), self.owners, SECTIONS[0], SLOTS, WRITTEN[backwards])

    def _parts(
        self, ranks: Iterable[int], place: Place | None = None, *, backwards: bool = False
    ) -> dict[int, dict[str, Any]]:
        """Sections with the values of all slots. The walk through a place's own section begins there."""
        bound = LAST if backwards else FIRST
        everywhere = self._slots(bound, backwards=backwards)
        parts = {rank: SECTIONS[rank] | everywhere for rank in ranks}
        if place and place.rank in parts:
            parts[place.rank] |= self._slots(place, backwards=backwards)
        return parts

    def _slots(self, begin: Place, *, backwards: bool) -> dict[str, Any]:
        """The values of all slots of a walk that begins at a place."""
        if backwards and self.until < begin.moment:
            begin = Place(begin.rank, self.until, LAST.pk)
        given = (begin.moment, begin.pk, self.until)
        prepared = (field.get_db_prep_value(value, connection) for field, value in zip(COLUMNS, given, strict=True))
        return dict(zip(SLOTS, (*prepared, self.user and self.user.pk), strict=True))


def _to_read(user: Any) -> "QuerySet[Image]":
    """Images of all stages. What someone has read waits for others, and not for them."""
    own = Review.objects.filter(image=OuterRef("pk"), reviewer=user)
    # The stage first: few images have one of these, and only their verdicts are looked for.
    return Image.objects.exclude(Q(stage__in=BEGUN), Exists(own))


def _rows_of_study(reader: Any, study: Any, until: Any) -> "QuerySet[Image]":
    return _to_read(reader).filter(study=study, created_at__lte=until).exclude(group="").order_by()


def _in_walk(backwards: bool) -> "QuerySet[Image]":
    moment, key, until, reader = map(Slot, SLOTS)
    sign = "-" if backwards else ""
    rows = _to_read(reader).filter(_beyond(moment, key, backwards=backwards))
    if not backwards:  # of two such bounds SQLite may walk from the later one
        rows = rows.filter(created_at__lte=until)
    return rows.order_by(f"{sign}created_at", f"{sign}id")


def _beyond(moment: Any, pk: Any, *, backwards: bool) -> Q:
    """The condition for rows of a section after a place, or before it."""
    sign = "lt" if backwards else "gt"
    further = Q(**{f"created_at__{sign}": moment}) | Q(**{f"pk__{sign}": pk})
    return Q(**{f"created_at__{sign}e": moment}) & further


def _read_places(sql: str, params: Sequence[Any]) -> list[Place]:
    rows: Any = Image._base_manager.raw(sql, params)
    return [Place(row.section_rank, row.created_at, row.pk) for row in rows]


def _in_order(keys: list[UUID], rows: ImageQuerySet | None) -> list[Image]:
    """Images in the order of their keys."""
    if rows is None:
        rows = Image.objects.select_related("patient", "department", "study").prefetch_related("readings")
    found = rows.in_bulk(keys)
    return [found[key] for key in keys if key in found]
