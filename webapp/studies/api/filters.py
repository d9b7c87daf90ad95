"""The parameters of lists, all of them checked.

REST Framework's serializers check them, as they check bodies, and describe them in the API's document. django-filter's
forms would take an empty value for none and list everything, and would not refuse names that they do not know.
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

#: Parameters of the pages; see :class:`webapp.http.pagination.CursorPages`.
PAGING = {"cursor", "page_size"}


class _Moment(serializers.DateTimeField):
    """A time, or a date, which is its midnight."""

    def to_internal_value(self, value: Any) -> Any:
        try:
            day = parse_date(value)
        except (TypeError, ValueError):
            day = None
        return super().to_internal_value(f"{day}T00:00:00" if day else value)


class Filters(StrictSerializer):
    """The filters of a list."""


class PatientFilters(Filters):
    """The filters of all lists of what was uploaded."""

    search = serializers.CharField(
        required=False, max_length=200, help_text="an id, or the beginning of a name or of a patient's identifier"
    )
    created_after = _Moment(required=False, help_text="this time and later ones, as ISO 8601")
    created_before = _Moment(required=False, help_text="times before this one")
    department = serializers.CharField(required=False, max_length=50, help_text="a department's slug")
    ordering = serializers.ChoiceField(
        choices=("-created_at", "created_at"), required=False, help_text="newest first (the default), or oldest"
    )


class ResultFilters(PatientFilters):
    """What images are narrowed by, and studies by what one of their images is."""

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
    """The filters of a study's own list. Its images are few enough to be sorted by their results."""

    ordering = serializers.ChoiceField(
        choices=("created_at", "-created_at", "-probability", "probability"),
        required=False,
        help_text="in the order of the upload (the default), newest first, or by the result; what has none comes last",
    )
    department = None  # type: ignore[assignment]  # it is the study's
    study = None  # type: ignore[assignment]


class WorklistFilters(Filters):
    """The filters of the worklist."""

    stage: Any = serializers.ChoiceField(
        choices=ReviewStage.choices, required=False, help_text="one only; without it, all that are still to be read"
    )
    stat = serializers.ChoiceField(choices=("true", "false"), required=False, help_text="whether it is STAT")
    group = serializers.ChoiceField(choices=ResultGroup.choices, required=False, help_text="of the result")
    department = serializers.CharField(required=False, max_length=50, help_text="a department's slug")
    waiting_hours = serializers.IntegerField(
        required=False, min_value=0, max_value=100_000, help_text="received at least so many hours ago"
    )
    study = serializers.UUIDField(required=False)


def given_once(params: QueryDict) -> dict[str, str]:
    """A request's parameters, each of which may be there once: of two values one would be ignored.

    Raises:
        Refused: ``invalid_parameter``.
    """
    given = {}
    for name, values in params.lists():
        if len(values) > 1:
            raise Refused("invalid_parameter", f"'{name[:50]}' is given {len(values)} times. Please give it once.")
        given[name] = str(values[0])
    return given


def checked(filters: type[Filters], params: Mapping[str, str], paging: Collection[str] = PAGING) -> dict[str, Any]:
    """A request's parameters as values, those of the pages left out.

    Args:
        filters: those that there are.
        params: what was asked for.
        paging: the parameters of pages; none where the answer has no pages.

    Raises:
        Refused: ``unknown_parameter``.
        ValidationError: of REST Framework, for a value that cannot be.
    """
    serializer = _made(filters)
    known = {*serializer.fields, *paging}
    for name in params:
        if name == "page" and paging:
            raise Refused(
                "unknown_parameter",
                "Pages have no numbers any more: leave out 'page' and follow the link 'next' of each answer.",
            )
        if name not in known:
            raise Refused("unknown_parameter", f"There is no '{name[:50]}' here, only: {', '.join(sorted(known))}.")
    # As a dictionary: in a form, empty fields would count as absent, and a filter would be dropped.
    wanted = serializer.run_validation({name: params[name] for name in params if name not in paging})
    # Names are stored in this form, whichever one they were sent in.
    return {
        name: unicodedata.normalize("NFC", value) if isinstance(value, str) else value for name, value in wanted.items()
    }


@cache
def _made(filters: type[Filters]) -> Filters:
    """The serializer of some filters, made once: REST Framework copies all fields for each. It keeps nothing of what it
    checks.
    """
    return filters()
