"""Lists of images, studies and patients, narrowed and sorted, for the API and the pages alike."""

from collections.abc import Callable
from contextlib import suppress
from functools import reduce
from operator import or_
from typing import Any, cast
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Coalesce
from rest_framework.generics import ListAPIView

from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.departments.access import in_department
from webapp.http.candidates import Candidates, Either
from webapp.http.pagination import Merged, Rows, first_keys
from webapp.studies import search
from webapp.studies.api.filters import PAGING, PatientFilters, checked, given_once
from webapp.studies.choices import FACETS, Status, StudyStatus, combinations
from webapp.studies.models import Image, Patient, Study
from webapp.studies.querysets import OwnedQuerySet, StudyQuerySet
from webapp.studies.search_results import first_rows, many_matches

#: Filters that leave few rows, which can be sorted, or rows that an index of their own has in their order.
FEW = {"patient", "study", "warning"}
#: Filters of studies that one of their images has to suit.
OF_IMAGES = {"group", "label", "warning", "priority", "reviewed"}
#: How many suitable images are looked up before the list is walked in its own order.
MANY = 200
#: Columns that the other filters of a model compare.
OWN = {Study: ("cancelled_at",)}
#: The place of images without a result in each ordering: last.
LAST = {"probability": 2.0, "-probability": -1.0}


class FilteredList(ListAPIView):
    """A list of what one may see, whose parameters are all checked: one that is not known is an error, not a list of
    everything.

    ``queryset`` has the rows of all owners; :func:`narrowed` leaves those that the identity may see.
    """

    ordering = "-created_at"
    filters: type[PatientFilters]
    #: Whether all rows have the same owner.
    one_owner = False

    def filter_queryset(self, queryset: Any) -> Any:
        wanted = checked(self.filters, given_once(self.request.query_params))
        ordering = wanted.pop("ordering", self.ordering)
        identity = identities.identify(self.request)
        rows = narrowed(queryset, identity, wanted, one_owner=self.one_owner, ordering=ordering)
        self.ordering = sort_key(ordering)
        return rows

    def list(self, *args: Any, **kwargs: Any) -> Any:
        response = super().list(*args, **kwargs)
        filters = sorted(set(self.request.query_params) - PAGING)
        record(identities.identify(self.request), Action.LIST, self.listed(), filters=filters)
        return response

    def listed(self) -> Any:
        """The details of a listing for the audit."""
        return cast("Any", self).queryset.model


def sort_key(ordering: str) -> str:
    """The column that the rows of :func:`narrowed` are sorted by, after ``-`` where the greatest comes first."""
    return ordering.replace("probability", "place")


def narrowed(
    rows: OwnedQuerySet, identity: Identity, wanted: dict[str, Any], *, one_owner: bool = False, ordering: str = ""
) -> Rows:
    """The rows of a list that suit its filters, to be read in pages.

    Args:
        rows: those of the list, of all owners.
        identity: who asks, and gets what they may see.
        wanted: values by filter, as :func:`webapp.studies.api.filters.checked` gives them, without ``ordering``.
        one_owner: whether all rows have the same owner, as those of a study have, which the identity may see.
        ordering: how they will be sorted, by :func:`sort_key`.

    Raises:
        Refused: ``department_not_found``.
    """
    owners = [Q()] if one_owner else permissions.visible_by_owner(identity)
    if "department" in wanted:
        owners = [in_department(identity, wanted["department"])]
    owned = reduce(or_, owners)
    candidates: set[UUID] | None = None
    by_images = False
    if rows.model is Study:
        by_images = not OF_IMAGES.isdisjoint(wanted)
        rows, wanted, candidates = _by_status(*_by_their_images(rows, identity, wanted))
    few = one_owner or identity.user is None or not FEW.isdisjoint(wanted)
    columns, conditions = _compared(wanted, identity)
    if ordering in LAST:
        rows = rows.annotate(place=Coalesce(F("probability"), Value(LAST[ordering])))
    rows = rows.filter(*conditions, **columns)
    read = {"created_at", "id", *columns, *OWN.get(rows.model, ()), *(("owner_id", "department_id") if owned else ())}
    if "search" in wanted:
        found = search.find(rows.model, wanted["search"])
        if not found.fields:
            candidates = _both(candidates, found.ids)
        elif few or candidates is not None:
            rows = found.within(rows)
        else:
            return many_matches(found, rows, owners, columns, read)
    if candidates is not None:
        named = rows.model._base_manager.filter(pk__in=candidates)
        return rows.filter(pk__in=candidates) if one_owner else Candidates(rows.filter(owned), [named])
    few_by_itself = one_owner or identity.user is None or not wanted.keys().isdisjoint({"patient", "study", "search"})
    if "warning" in wanted and not few_by_itself:
        # Few images have warnings, and an owner's index has all that these are narrowed by.
        warned = Image.objects.filter(warning_codes__gt="")
        return Candidates(rows, [warned.filter(owner) for owner in owners], sorted(read | {"warning_codes"}))
    if rows.model is Image and not few and columns.keys() & {*FACETS}:
        return Either(first_rows(rows, owners, read), Merged(rows, owners, combinations(columns)))
    every: Rows = Merged(rows, owners) if len(owners) > 1 else rows.filter(*owners)
    return Either(first_rows(rows, owners, read), every) if by_images and not few else every


def _both(some: "set[UUID] | None", others: "set[UUID] | None") -> "set[UUID] | None":
    """Those in both sets; None stands for all that there are."""
    return others if some is None else some if others is None else some & others


def _compared(wanted: dict[str, Any], identity: Identity) -> tuple[dict[str, Any], list[Q]]:
    """The columns that filters compare, with their values, and the other conditions that they make."""
    columns = {name: value for name, value in wanted.items() if name in COLUMNS}
    if "reviewed" in wanted:
        columns["reviewed"] = wanted["reviewed"] == "true"
    return columns, [CONDITIONS[name](value, identity) for name, value in wanted.items() if name in CONDITIONS]


#: Studies, the filters that are still to be applied, and the ids that come into question, None for all.
_Studies = tuple[StudyQuerySet, dict[str, Any], "set[UUID] | None"]


def _by_their_images(rows: Any, identity: Identity, wanted: dict[str, Any]) -> _Studies:
    """Studies of which one image suits all those filters that are about images."""
    about = {name: value for name, value in wanted.items() if name in OF_IMAGES}
    if not about:
        return rows, wanted, None
    others = {name: value for name, value in wanted.items() if name not in OF_IMAGES}
    owned = {name: wanted[name] for name in ("department",) if name in wanted}
    found = narrowed(Image.objects.all(), identity, about | owned).order_by("-created_at", "-id")
    first = first_keys(found, MANY)
    if len(first) < MANY:
        studies = Image.objects.filter(pk__in=first, study__isnull=False).values_list("study", flat=True)
        return rows, others, {*studies}
    # Where many images suit, the first studies that have one are soon found in the list's own order.
    columns, conditions = _compared(about, identity)
    if columns.keys() & {"group", "label"}:
        columns["status"] = Status.SUCCEEDED  # as the index of a study's images has it before the group
    return rows.filter(Exists(Image.objects.filter(*conditions, study=OuterRef("pk"), **columns))), others, None


def _by_status(rows: StudyQuerySet, wanted: dict[str, Any], candidates: "set[UUID] | None") -> _Studies:
    if "status" not in wanted:
        return rows, wanted, candidates
    others = {name: value for name, value in wanted.items() if name != "status"}
    found = rows.candidates(wanted["status"])
    rows = rows.with_status(wanted["status"], found)
    return rows, others, candidates if wanted["status"] == StudyStatus.FINISHED else _both(candidates, found)


def _of_patient(text: str, identity: Identity) -> Q:
    """The condition for patients with this identifier or id. Several owners can have the same identifier."""
    named = Q(identifier=text)
    with suppress(ValueError):
        named |= Q(pk=UUID(text))
    return Q(patient__in=list(Patient.objects.visible_to(identity).filter(named).values_list("pk", flat=True)))


#: Filters by the value of a column of the same name, and others by the condition that they make.
COLUMNS = {"status", "group", "label", "priority", "source", "study"}
CONDITIONS: dict[str, Callable[[Any, Identity], Q]] = {
    "created_after": lambda moment, _: Q(created_at__gte=moment),
    "created_before": lambda moment, _: Q(created_at__lt=moment),
    # The first half is the condition of an index.
    "warning": lambda code, _: Q(warning_codes__gt="", warning_codes__contains=f" {code} "),
    "patient": _of_patient,
}
