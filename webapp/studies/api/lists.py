"""Filtered and sorted lists of images, studies and patients, for the API and the pages."""

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

#: Filters that leave few rows, which can be sorted, or rows that have their own index in the order of the list.
SELECTIVE = {"patient", "study", "warning"}
#: Filters of studies that one of a study's images has to match.
OF_IMAGES = {"group", "label", "warning", "priority", "reviewed"}
#: If at least this many images match, a list of studies is read in its own order instead.
MAX_IMAGES = 200
#: Columns that other filters of a model compare.
OWN = {Study: ("cancelled_at",)}
#: The value of images without a result in each ordering, which puts them last.
LAST = {"probability": 2.0, "-probability": -1.0}


class FilteredList(ListAPIView):
    """A list of the rows that the client may see. All parameters are validated: an unknown one is an error.

    ``queryset`` has the rows of all owners. :func:`narrowed` keeps those that the identity may see.
    """

    ordering = "-created_at"
    filters: type[PatientFilters]
    #: Whether all rows have the same owner.
    one_owner = False

    def filter_queryset(self, queryset: Any) -> Any:
        values = checked(self.filters, given_once(self.request.query_params))
        ordering = values.pop("ordering", self.ordering)
        identity = identities.identify(self.request)
        rows = narrowed(queryset, identity, values, one_owner=self.one_owner, ordering=ordering)
        self.ordering = sort_key(ordering)
        return rows

    def list(self, *args: Any, **kwargs: Any) -> Any:
        response = super().list(*args, **kwargs)
        filters = sorted(set(self.request.query_params) - PAGING)
        record(identities.identify(self.request), Action.LIST, self.listed(), filters=filters)
        return response

    def listed(self) -> Any:
        """Return the object of a listing for the audit."""
        return cast("Any", self).queryset.model


def sort_key(ordering: str) -> str:
    """Return the column that the rows of :func:`narrowed` are sorted by, with ``-`` before it for descending order."""
    return ordering.replace("probability", "place")


def narrowed(
    rows: OwnedQuerySet, identity: Identity, values: dict[str, Any], *, one_owner: bool = False, ordering: str = ""
) -> Rows:
    """Return the rows of a list that match its filters, to be read in pages.

    Args:
        rows: the rows of the list, of all owners.
        identity: the client. Only rows that it may see are returned.
        values: values by filter, from :func:`webapp.studies.api.filters.checked`, without ``ordering``.
        one_owner: whether all rows have the same owner, like the images of a study, and the identity may see them.
        ordering: the ordering that the rows will have, by :func:`sort_key`.

    Raises:
        Refused: ``department_not_found``.
    """
    owners = [Q()] if one_owner else permissions.visible_by_owner(identity)
    if "department" in values:
        owners = [in_department(identity, values["department"])]
    owned = reduce(or_, owners)
    candidates: set[UUID] | None = None
    by_images = False
    if rows.model is Study:
        by_images = not OF_IMAGES.isdisjoint(values)
        rows, values, candidates = _by_status(*_by_their_images(rows, identity, values))
    few_rows = one_owner or identity.user is None or not SELECTIVE.isdisjoint(values)
    columns, conditions = _compared(values, identity)
    if ordering in LAST:
        rows = rows.annotate(place=Coalesce(F("probability"), Value(LAST[ordering])))
    rows = rows.filter(*conditions, **columns)
    read = {"created_at", "id", *columns, *OWN.get(rows.model, ()), *(("owner_id", "department_id") if owned else ())}
    if "search" in values:
        matches = search.find(rows.model, values["search"])
        if not matches.fields:
            candidates = _both(candidates, matches.ids)
        elif few_rows or candidates is not None:
            rows = matches.within(rows)
        else:
            return many_matches(matches, rows, owners, columns, read)
    if candidates is not None:
        rows_by_id = rows.model._base_manager.filter(pk__in=candidates)
        return rows.filter(pk__in=candidates) if one_owner else Candidates(rows.filter(owned), [rows_by_id])
    few_rows_otherwise = (
        one_owner or identity.user is None or not values.keys().isdisjoint({"patient", "study", "search"})
    )
    if "warning" in values and not few_rows_otherwise:
        # Few images have warnings, and an owner's index has all columns that they are filtered by.
        warned = Image.objects.filter(warning_codes__gt="")
        return Candidates(rows, [warned.filter(owner) for owner in owners], sorted(read | {"warning_codes"}))
    if rows.model is Image and not few_rows and columns.keys() & {*FACETS}:
        return Either(first_rows(rows, owners, read), Merged(rows, owners, combinations(columns)))
    merged: Rows = Merged(rows, owners) if len(owners) > 1 else rows.filter(*owners)
    return Either(first_rows(rows, owners, read), merged) if by_images and not few_rows else merged


def _both(first: "set[UUID] | None", second: "set[UUID] | None") -> "set[UUID] | None":
    """Return the ids in both sets. None stands for all ids."""
    return second if first is None else first if second is None else first & second


def _compared(values: dict[str, Any], identity: Identity) -> tuple[dict[str, Any], list[Q]]:
    """Return the columns that filters compare, with their values, and the filters' other conditions."""
    columns = {name: value for name, value in values.items() if name in COLUMNS}
    if "reviewed" in values:
        columns["reviewed"] = values["reviewed"] == "true"
    return columns, [CONDITIONS[name](value, identity) for name, value in values.items() if name in CONDITIONS]


#: Studies, the filters that are still to be applied, and the ids of studies that may match; None for all.
_Studies = tuple[StudyQuerySet, dict[str, Any], "set[UUID] | None"]


def _by_their_images(rows: Any, identity: Identity, values: dict[str, Any]) -> _Studies:
    """Return the studies that have an image which matches all filters on images."""
    of_images = {name: value for name, value in values.items() if name in OF_IMAGES}
    if not of_images:
        return rows, values, None
    rest = {name: value for name, value in values.items() if name not in OF_IMAGES}
    owned = {name: values[name] for name in ("department",) if name in values}
    images = narrowed(Image.objects.all(), identity, of_images | owned).order_by("-created_at", "-id")
    first = first_keys(images, MAX_IMAGES)
    if len(first) < MAX_IMAGES:
        studies = Image.objects.filter(pk__in=first, study__isnull=False).values_list("study", flat=True)
        return rows, rest, {*studies}
    # If many images match, reading studies in the list's own order soon finds the first ones that have such an image.
    columns, conditions = _compared(of_images, identity)
    if columns.keys() & {"group", "label"}:
        columns["status"] = Status.SUCCEEDED  # the index of a study's images has the status before the group
    return rows.filter(Exists(Image.objects.filter(*conditions, study=OuterRef("pk"), **columns))), rest, None


def _by_status(rows: StudyQuerySet, values: dict[str, Any], candidates: "set[UUID] | None") -> _Studies:
    if "status" not in values:
        return rows, values, candidates
    rest = {name: value for name, value in values.items() if name != "status"}
    status_ids = rows.candidates(values["status"])
    rows = rows.with_status(values["status"], status_ids)
    return rows, rest, candidates if values["status"] == StudyStatus.FINISHED else _both(candidates, status_ids)


def _of_patient(text: str, identity: Identity) -> Q:
    """Return the condition for patients with this identifier or id. Several owners can have the same identifier."""
    condition = Q(identifier=text)
    with suppress(ValueError):
        condition |= Q(pk=UUID(text))
    return Q(patient__in=list(Patient.objects.visible_to(identity).filter(condition).values_list("pk", flat=True)))


#: Filters that compare a column of the same name, and the conditions of the other filters.
COLUMNS = {"status", "group", "label", "priority", "source", "study"}
CONDITIONS: dict[str, Callable[[Any, Identity], Q]] = {
    "created_after": lambda time, _: Q(created_at__gte=time),
    "created_before": lambda time, _: Q(created_at__lt=time),
    # The first part is the condition of an index.
    "warning": lambda code, _: Q(warning_codes__gt="", warning_codes__contains=f" {code} "),
    "patient": _of_patient,
}
