"""The progress of studies, counted in one query.

The transaction that creates images from a ZIP also reduces the number of files left in that ZIP. Two queries, one
before and one after this transaction, would miss the images or count them twice. One query sees all of it or nothing.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Count, F, QuerySet, Sum, Value

from webapp.studies.choices import FINAL
from webapp.studies.models import Archive, Image, Study

#: Number of studies in one query.
CHUNK = 500
IMAGES, ARCHIVES, STUDIES = range(3)


@dataclass
class StudyState:
    """A study at one moment.

    Attributes:
        images: the number of images by status.
        results: the number of images with a result, by the result's group.
        archives: the number of ZIPs by state.
        packed: the number of files that are still in ZIPs.
        cancelled: whether the study was cancelled.
        open: whether more files are still to come.
    """

    images: dict[str, int] = field(default_factory=Counter)
    results: dict[str, int] = field(default_factory=Counter)
    archives: dict[str, int] = field(default_factory=dict)
    packed: int = 0
    cancelled: bool = False
    open: bool = False

    @property
    def done(self) -> int:
        """The number of images with a final status, without those still in a ZIP."""
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
    """Return the state of each study, with one query for every 500 studies."""
    states = {pk: StudyState() for pk in ids}
    pks = list(states)
    for start in range(0, len(pks), CHUNK):
        for kind, study, name, group, number, packed in _counts(pks[start : start + CHUNK]):
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
    """Return rows of six values: the kind, the study's id, a status or state, a result's group, the number of images or
    ZIPs with these, and the number of packed files. In a study's own row the last two say whether it was cancelled and
    whether it is open.
    """
    none = Value("")
    images = Image.objects.filter(study__in=ids).values(study_key=F("study"), state_name=F("status"), result=F("group"))
    archives = Archive.objects.filter(study__in=ids).values(study_key=F("study"), state_name=F("state"), result=none)
    studies = Study.objects.filter(pk__in=ids).values(study_key=F("pk"), state_name=none, result=none)
    return _rows(images, IMAGES, number=Count("pk"), packed=Value(0)).union(
        _rows(archives, ARCHIVES, number=Count("pk"), packed=Sum(F("total") - F("unpacked"))),
        # Each of these counts one row, so it is 1 or 0.
        _rows(studies, STUDIES, number=Count("cancelled_at"), packed=Count("open_until")),
        all=True,
    )


def _rows(queryset: QuerySet, kind: int, **counts: Any) -> QuerySet:
    counted: QuerySet = queryset.order_by().annotate(kind=Value(kind), **counts)
    return counted.values_list("kind", "study_key", "state_name", "result", "number", "packed")
