"""The parameters of lists, which are all validated.

REST Framework's serializers validate them, like request bodies, and describe them in the API's schema. The forms of
django-filter would treat an empty value as no value and list everything, and would not refuse unknown names.
"""

import unicodedata
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from django.http import QueryDict
from django.utils.dateparse import parse_date
from rest_framework import serializers

from webapp.http.serializers import StrictSerializer
from webapp.refusals import Refused
from webapp.studies.choices import Label, Priority, ResultGroup, ReviewStage, Source, Status, StudyStatus, WarningCode

#: Parameters of pagination; see :class:`webapp.http.pagination.CursorPages`.
PAGING = {"cursor", "page_size"}


class _TimeField(serializers.DateTimeField):
    """A time, or a date, which means the midnight at its start."""

    def to_internal_value(self, value: Any) -> Any:
        try:
            day = parse_date(value)
        except (TypeError, ValueError):
            day = None
        return super().to_internal_value(f"{day}T00:00:00" if day else value)


class Filters(StrictSerializer):
    """The filters of a list."""


class PatientFilters(Filters):
    """The filters that lists of patients, studies and images share."""

    search = serializers.CharField(
        required=False, max_length=200, help_text="an id, or the beginning of a name or of a patient's identifier"
    )
    created_after = _TimeField(required=False, help_text="this time and later ones, as ISO 8601")
    created_before = _TimeField(required=False, help_text="times before this one")
    department = serializers.CharField(required=False, max_length=50, help_text="a department's slug")
    ordering = serializers.ChoiceField(
        choices=("-created_at", "created_at"), required=False, help_text="newest first (the default), or oldest"
    )


class ResultFilters(PatientFilters):
    """The filters of images. A study matches them if one of its images does."""

    group = serializers.ChoiceField(choices=ResultGroup.choices, required=False, help_text="of the result")
    label: Any = serializers.ChoiceField(choices=Label.choices, required=False)
    warning = serializers.ChoiceField(choices=WarningCode.choices, required=False, help_text="one that the result has")
    reviewed = serializers.ChoiceField(
        choices=("true", "false"), required=False, help_text="whether a reader has given a verdict"
    )
    priority = serializers.ChoiceField(choices=Priority.choices, required=False)
    source: Any = serializers.ChoiceField(choices=Source.choices, required=False)
    patient = serializers.CharField(required=False, max_length=128, help_text="a patient's identifier or id")


class StudyFilters(ResultFilters):
    status = serializers.ChoiceField(choices=StudyStatus.choices, required=False)


class ImageFilters(ResultFilters):
    status = serializers.ChoiceField(choices=Status.choices, required=False)
    study = serializers.UUIDField(required=False)


class StudyImageFilters(ImageFilters):
    """The filters of a study's list of images. These are few enough to be sorted by their results."""

    ordering = serializers.ChoiceField(
        choices=("created_at", "-created_at", "-probability", "probability"),
        required=False,
        help_text="in order of upload (the default), newest first, or by probability; images without one come last",
    )
    department = None  # type: ignore[assignment]  # all images have the study's department
    study = None  # type: ignore[assignment]


class WorklistFilters(Filters):
    """The filters of the worklist."""

    stage: Any = serializers.ChoiceField(
        choices=ReviewStage.choices, required=False, help_text="a single stage; by default, all that need a reader"
    )
    stat = serializers.ChoiceField(choices=("true", "false"), required=False, help_text="whether it is STAT")
    group = serializers.ChoiceField(choices=ResultGroup.choices, required=False, help_text="of the result")
    department = serializers.CharField(required=False, max_length=50, help_text="a department's slug")
    waiting_hours = serializers.IntegerField(
        required=False, min_value=0, max_value=100_000, help_text="received at least this many hours ago"
    )
    study = serializers.UUIDField(required=False)


def given_once(params: QueryDict) -> dict[str, str]:
    """Return a request's parameters. Refuse a parameter that is given twice, as one of its values would be ignored.

    Raises:
        Refused: ``invalid_parameter``.
    """
    single = {}
    for name, values in params.lists():
        if len(values) > 1:
            raise Refused("invalid_parameter", f"'{name[:50]}' is given {len(values)} times. Please give it once.")
        single[name] = str(values[0])
    return single


def checked(filters: type[Filters], params: Mapping[str, str], paging: Collection[str] = PAGING) -> dict[str, Any]:
    """Validate a request's parameters, and return their values without those of pagination.

    Args:
        filters: the filters of the list.
        params: the request's parameters.
        paging: the parameters of pagination; empty if the response has no pages.

    Raises:
        Refused: ``unknown_parameter``.
        ValidationError: REST Framework's error for an invalid value.
    """
    serializer = _serializer(filters)
    known = {*serializer.fields, *paging}
    for name in params:
        if name == "page" and paging:
            raise Refused(
                "unknown_parameter",
                "Pages no longer have numbers. Please leave out 'page' and follow the link 'next' of each response.",
            )
        if name not in known:
            raise Refused("unknown_parameter", f"There is no '{name[:50]}' here, only: {', '.join(sorted(known))}.")
    # The input is a dictionary: in a QueryDict, empty fields would count as absent, and a filter would be dropped.
    values = serializer.run_validation({name: params[name] for name in params if name not in paging})
    # Names are stored in this Unicode form, whichever form they were sent in.
    return {
        name: unicodedata.normalize("NFC", value) if isinstance(value, str) else value for name, value in values.items()
    }


@cache
def _serializer(filters: type[Filters]) -> Filters:
    """Return the serializer of some filters. It is created only once, because REST Framework copies all fields for each
    instance. It stores nothing of the values that it validates.
    """
    return filters()
