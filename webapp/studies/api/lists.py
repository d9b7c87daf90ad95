"""Lists of images, studies and patients: their pages and the parameters that narrow them."""

import unicodedata
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_date
from rest_framework import serializers
from rest_framework.generics import ListAPIView

from webapp.accounts import identity as identities
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments import permissions
from webapp.http.pagination import Merged
from webapp.refusals import Refused
from webapp.studies.choices import Status, StudyStatus
from webapp.studies.models import Patient

#: Parameters of the pages; see :class:`webapp.http.pagination.CursorPages`.
PAGING = {"cursor", "page_size"}


class _Moment(serializers.DateTimeField):
    """A time, or a date, which is its midnight."""

    def to_internal_value(self, value: Any) -> Any:
        try:
            day = parse_date(value)
        except ValueError:
            day = None
        return super().to_internal_value(f"{day}T00:00:00" if day else value)


class PatientFilters(serializers.Serializer):
    """What every list can be narrowed by."""

    search = serializers.CharField(
        required=False, max_length=200, help_text="an id, or the beginning of a name or of a patient's identifier"
    )
    created_after = _Moment(required=False, help_text="this time and later ones, as ISO 8601")
    created_before = _Moment(required=False, help_text="times before this one")
    ordering = serializers.ChoiceField(
        choices=("-created_at", "created_at"), required=False, help_text="newest first (the default), or oldest"
    )


class StudyFilters(PatientFilters):
    status = serializers.ChoiceField(choices=StudyStatus.choices, required=False)
    patient = serializers.CharField(required=False, max_length=128, help_text="a patient's identifier or id")


class ImageFilters(PatientFilters):
    status = serializers.ChoiceField(choices=Status.choices, required=False)
    patient = serializers.CharField(required=False, max_length=128, help_text="a patient's identifier or id")
    study = serializers.UUIDField(required=False)


class FilteredList(ListAPIView):
    """A list whose parameters are all checked: one that is not known is an error, not a list of everything."""

    ordering = "-created_at"
    filters: type[PatientFilters]
    #: Whether all rows have the same owner.
    one_owner = False

    def filter_queryset(self, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        self._refuse_unknown()
        # As a dictionary: of a form, fields that are empty would count as absent, and a filter would be dropped.
        checked = self.filters(data=self.request.query_params.dict())
        checked.is_valid(raise_exception=True)
        wanted = checked.validated_data
        self.ordering = wanted.pop("ordering", self.ordering)
        for name, value in wanted.items():
            # Names are stored in this form, whichever one they were sent in.
            normalised = unicodedata.normalize("NFC", value) if isinstance(value, str) else value
            queryset = self._narrowed(queryset, name, normalised)
        return queryset

    def paginate_queryset(self, queryset: Any) -> Any:
        owners = permissions.visible_by_owner(identities.identify(self.request))
        if len(owners) > 1 and not self.one_owner:
            queryset = Merged(queryset, owners)
        return super().paginate_queryset(queryset)

    def list(self, *args: Any, **kwargs: Any) -> Any:
        response = super().list(*args, **kwargs)
        filters = sorted(set(self.request.query_params) - PAGING)
        record(identities.identify(self.request), Action.LIST, self.listed(), filters=filters)
        return response

    def listed(self) -> Any:
        """What the audit says that someone has listed."""
        return cast("Any", self).queryset.model

    def _refuse_unknown(self) -> None:
        known = {*self.filters().fields, *PAGING}
        for name in self.request.query_params:
            if name == "page":
                raise Refused(
                    "unknown_parameter",
                    "Pages have no numbers any more: leave out 'page' and follow the link 'next' of each answer.",
                )
            if name not in known:
                raise Refused(
                    "unknown_parameter", f"This list knows no '{name[:50]}', only: {', '.join(sorted(known))}."
                )

    def _narrowed(self, queryset: Any, name: str, value: Any) -> Any:
        if name == "search":
            return queryset.search(value)
        if name == "created_after":
            return queryset.filter(created_at__gte=value)
        if name == "created_before":
            return queryset.filter(created_at__lt=value)
        if name == "patient":
            return queryset.filter(patient__in=_patients(value, identities.identify(self.request)))
        if name == "status" and issubclass(self.filters, StudyFilters):
            return queryset.with_status(value)
        return queryset.filter(**{name: value})


def _patients(text: str, identity: identities.Identity) -> list[UUID]:
    """The ids of those patients whom an identifier or an id names. Several owners can know the same identifier."""
    named = Q(identifier=text)
    with suppress(ValueError):
        named |= Q(pk=UUID(text))
    return list(Patient.objects.visible_to(identity).filter(named).values_list("pk", flat=True))
