"""The progress of studies, counted in one query.

Images that leave a ZIP appear and are counted off that ZIP in one transaction. Two queries, one before and one after
it, would miss these images or count them twice; one query sees either all of that transaction or nothing of it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Count, F, QuerySet, Sum, Value

from webapp.studies.choices import FINAL
from webapp.studies.models import Archive, Image, Study

#: Studies that one query is asked for.
CHUNK = 500
IMAGES, ARCHIVES, STUDIES = range(3)


@dataclass
class StudyState:
    """A study at one moment.

    Attributes:
        images: by status.
        results: images that have one, by its group.
        archives: ZIPs by state.
        packed: files that are still in ZIPs.
        cancelled: whether the study was cancelled.
        open: whether more files of it are still to come.
    """

    images: dict[str, int] = field(default_factory=Counter)
    results: dict[str, int] = field(default_factory=Counter)
    archives: dict[str, int] = field(default_factory=dict)
    packed: int = 0
    cancelled: bool = False
    open: bool = False

    @property
    def done(self) -> int:
        """Images with a final status, without those still in a ZIP."""
        return sum(self.images.get(status, 0) for status in FINAL)

    @property
    def is_unpacking(self) -> bool:
        """Whether a ZIP is still to be unpacked."""
        return any(state in Archive.PENDING for state in self.archives)

    @property
    def is_final(self) -> bool:
        ended = not self.is_unpacking and all(status in FINAL for status in self.images)
        return self.cancelled or (ended and not self.open)


def study_states(ids: Iterable[UUID]) -> dict[UUID, StudyState]:
    """The state of each study, in one query for each 500 of them."""
    states = {pk: StudyState() for pk in ids}
    wanted = list(states)
    for start in range(0, len(wanted), CHUNK):
        for kind, study, name, group, number, packed in _counts(wanted[start : start + CHUNK]):
            state = states[study]
            if kind == IMAGES:
                state.images[name] += number
                if group:
                    state.results[group] += number
            elif kind == ARCHIVES:
                state.archives[name] = number
                state.packed += int(packed) if name in Archive.PENDING else 0
            else:
                state.cancelled, state.open = bool(number), bool(packed)
    return states


def _counts(ids: list[UUID]) -> QuerySet:
    """Rows of a kind, a study's id, a status or state, a group, the number with these, and that of packed files; of the
    study itself whether it was cancelled, and whether it is open.
    """
    none = Value("")
    images = Image.objects.filter(study__in=ids).values(study_key=F("study"), state_name=F("status"), result=F("group"))
    archives = Archive.objects.filter(study__in=ids).values(study_key=F("study"), state_name=F("state"), result=none)
    studies = Study.objects.filter(pk__in=ids).values(study_key=F("pk"), state_name=none, result=none)
    return _rows(images, IMAGES, number=Count("pk"), packed=Value(0)).union(
        _rows(archives, ARCHIVES, number=Count("pk"), packed=Sum(F("total") - F("unpacked"))),
        # Of one row each of these is 1 or 0.
        _rows(studies, STUDIES, number=Count("cancelled_at"), packed=Count("open_until")),
        all=True,
    )


def _rows(queryset: QuerySet, kind: int, **counts: Any) -> QuerySet:
    counted: QuerySet = queryset.order_by().annotate(kind=Value(kind), **counts)
    return counted.values_list("kind", "study_key", "state_name", "result", "number", "packed")
