"""The worklist: images that a reader may review, STAT first, then by result group.

It is divided into sections by stage, urgency and group; within a section, the oldest image comes first. An index has
each section of an owner in this order. So a page is read by one short walk for each section and owner. Each statement
reads some sections, until the page is full.
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

#: Largest number of images that are counted in a section. Beyond it, only the fact that there are more is known.
COUNTED = 100
#: Number of sections that one statement reads. The first ones usually fill a page.
AT_ONCE = 6
#: Values of a walk besides its section: the image after which it begins, the latest time of upload, and the reader.
SLOTS = ("moment", "key", "until", "reader")
COLUMNS: list[Any] = [Image._meta.get_field(name) for name in ("created_at", "id", "created_at")]
#: Cached statements of walks, by whether they run backwards.
WRITTEN: dict[bool, dict[Any, Statement]] = {False: {}, True: {}}
#: Cached statements for the images of a study, by everything else that changes their text.
OF_STUDY: dict[Any, Statement] = {}


@dataclass(frozen=True)
class Page:
    """Some images, and the cursors of the next and the previous page; empty if there is none."""

    rows: list[Image]
    next: str
    previous: str


class Worklist:
    """An identity's worklist, filtered by :class:`webapp.studies.api.filters.WorklistFilters`."""

    def __init__(self, identity: Identity, filters: dict[str, Any]) -> None:
        """Raises Refused: ``department_not_found``."""
        self.owners = permissions.reviewable_by_owner(identity)
        if "department" in filters:
            department = in_department(identity, filters["department"])
            self.owners = [department] if self.owners == [Q()] or department in self.owners else []
        self.reviews = bool(self.owners)
        self.study: UUID | None = filters.get("study")
        if self.study and self.owners:
            # All images of a study have the study's owner.
            owned = Q(*self.owners, _connector=Q.OR)
            self.owners = self.owners if Study.objects.filter(owned, pk=self.study).exists() else []
        stages = [filters["stage"]] if "stage" in filters else [stage.value for stage in OPEN]
        self.sections = {
            rank: section
            for rank, section in enumerate(SECTIONS)
            if self.owners
            and section["stage"] in stages
            and section["group"] == filters.get("group", section["group"])
            and section["stat"] == (filters["stat"] == "true" if "stat" in filters else section["stat"])
        }
        self.user = identity.user
        hours = filters.get("waiting_hours")
        self.until = LAST.moment if hours is None else timezone.now() - timedelta(hours=hours)

    def page(self, size: int, cursor: str | None = None, rows: ImageQuerySet | None = None) -> Page:
        """A page of the list.

        Args:
            size: largest number of images.
            cursor: where the page begins; None for the first page.
            rows: queryset that selects the columns and relations to read; None for the usual ones.

        Raises:
            Refused: ``invalid_cursor``.
        """
        place, backwards = Place.decoded(cursor) if cursor else (None, False)
        places = self._places(size + 1, place, backwards=backwards)
        shown, more = places[:size], len(places) > size
        if backwards:
            shown.reverse()
        after, before = (True, more) if backwards else (more, place is not None)
        return Page(
            _in_order([place.pk for place in shown], rows),
            shown[-1].encoded() if shown and after else "",
            shown[0].encoded(backwards=True) if shown and before else "",
        )

    def neighbours(self, image: Image) -> tuple[UUID | None, UUID | None]:
        """The images before and after an image, which itself need not be in the list."""
        place = self.place_of(image)
        found = (self._places(1, place, backwards=backwards) for backwards in (True, False))
        before, after = (places[0].pk if places else None for places in found)
        return before, after

    def place_of(self, image: Image) -> Place:
        """The position of an image; for a reviewed image, its position before the review."""
        section = {"stage": image.stage, "stat": image.stat, "group": image.group}
        if image.stage == ReviewStage.DONE and section not in self.sections.values():
            answer = image.result.group if image.result else image.group
            section |= {"stage": OPEN[0].value, "group": answer}
        return Place(SECTIONS.index(section), image.created_at, image.pk)

    def counts(self) -> Counter[int]:
        """The number of images to read in each section, by its rank, whatever the filters for stage, urgency and group.
        A number above :data:`COUNTED` only means that there are more.
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
        """The first positions after a position, or the last ones before it in reverse order."""
        if self.study:
            return self._of_study(number, place, backwards=backwards)
        way = "DESC" if backwards else "ASC"
        ranks = sorted(self.sections, reverse=backwards)
        if place:
            ranks = [rank for rank in ranks if (rank <= place.rank if backwards else rank >= place.rank)]
        first: list[Place] = []
        # The next image is usually in the same section.
        at_once = 1 if place and number == 1 else AT_ONCE
        walks = self._walks(backwards=backwards)
        while ranks and len(first) < number:
            batch, ranks, at_once = ranks[:at_once], ranks[at_once:], AT_ONCE
            sql, params = walks.first(number, self._parts(batch, place, backwards=backwards))
            first += _read_places(
                f"SELECT id, created_at, part AS section_rank FROM ({sql}) AS merged "  # noqa: S608  (Django's own SQL; values are apart)
                f"ORDER BY part {way}, created_at {way}, id {way} LIMIT %s",
                [*params, number],
            )
        return first[:number]

    def _of_study(self, number: int, place: Place | None, *, backwards: bool) -> list[Place]:
        """The positions of a study's images. An index finds these images together, but not in the list's order."""
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
        """The walks through sections. Each begins at the position that :meth:`_parts` gives it."""
        return Walks(Image, partial(_in_walk, backwards), self.owners, SECTIONS[0], SLOTS, WRITTEN[backwards])

    def _parts(
        self, ranks: Iterable[int], place: Place | None = None, *, backwards: bool = False
    ) -> dict[int, dict[str, Any]]:
        """Sections with the values of all slots. The walk through the position's own section begins at the position."""
        bound = LAST if backwards else FIRST
        whole_section = self._slots(bound, backwards=backwards)
        parts = {rank: SECTIONS[rank] | whole_section for rank in ranks}
        if place and place.rank in parts:
            parts[place.rank] |= self._slots(place, backwards=backwards)
        return parts

    def _slots(self, begin: Place, *, backwards: bool) -> dict[str, Any]:
        """The values of all slots of a walk that begins at a position."""
        if backwards and self.until < begin.moment:
            begin = Place(begin.rank, self.until, LAST.pk)
        values = (begin.moment, begin.pk, self.until)
        prepared = (field.get_db_prep_value(value, connection) for field, value in zip(COLUMNS, values, strict=True))
        return dict(zip(SLOTS, (*prepared, self.user and self.user.pk), strict=True))


def _to_read(user: Any) -> "QuerySet[Image]":
    """Images in every stage. An image that a user has read still waits for other readers, but not for this user."""
    own = Review.objects.filter(image=OuterRef("pk"), reviewer=user)
    # The stage comes first: few images are in one of these stages, and only their verdicts are looked up.
    return Image.objects.exclude(Q(stage__in=BEGUN), Exists(own))


def _rows_of_study(reader: Any, study: Any, until: Any) -> "QuerySet[Image]":
    return _to_read(reader).filter(study=study, created_at__lte=until).exclude(group="").order_by()


def _in_walk(backwards: bool) -> "QuerySet[Image]":
    moment, key, until, reader = map(Slot, SLOTS)
    sign = "-" if backwards else ""
    rows = _to_read(reader).filter(_beyond(moment, key, backwards=backwards))
    if not backwards:  # given two upper bounds, SQLite may start from the later one
        rows = rows.filter(created_at__lte=until)
    return rows.order_by(f"{sign}created_at", f"{sign}id")


def _beyond(moment: Any, pk: Any, *, backwards: bool) -> Q:
    """Condition for rows of a section after a position, or before it."""
    sign = "lt" if backwards else "gt"
    further = Q(**{f"created_at__{sign}": moment}) | Q(**{f"pk__{sign}": pk})
    return Q(**{f"created_at__{sign}e": moment}) & further


def _read_places(sql: str, params: Sequence[Any]) -> list[Place]:
    rows: Any = Image._base_manager.raw(sql, params)
    return [Place(row.section_rank, row.created_at, row.pk) for row in rows]


def _in_order(keys: list[UUID], rows: ImageQuerySet | None) -> list[Image]:
    """The images with these keys, in the same order."""
    if rows is None:
        rows = Image.objects.select_related("patient", "department", "study").prefetch_related("readings")
    found = rows.in_bulk(keys)
    return [found[key] for key in keys if key in found]
