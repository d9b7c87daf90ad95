"""Forms of the pages. Filter forms only display the filters; :mod:`webapp.studies.api.filters` validates them."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.forms.utils import flatatt
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from webapp.dashboard import counted
from webapp.studies.choices import (
    Label,
    PneumoniaKind,
    Priority,
    ReviewStage,
    Source,
    Status,
    StudyStatus,
    Verdict,
    WarningCode,
)

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

ANY = ("", _("any"))


class InvitationForm(forms.Form):
    email = forms.EmailField(required=False, label=_("E-mail (optional)"))


class PlainSelect(forms.Select):
    """Renders all options without templates. Django renders a template for each option, and administrators choose from
    hundreds of departments.
    """

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        chosen, choices = str(value or ""), cast("Any", self.choices)
        options = "".join(
            f'<option value="{escape(key)}"{" selected" if key == chosen else ""}>{escape(label)}</option>'
            for key, label in ((str(key), str(label)) for key, label in choices)
        )
        all_attrs = self.build_attrs(self.attrs, attrs)
        return format_html("<select{}>{}</select>", flatatt({"name": name, **all_attrs}), SafeString(options))


class PlainInput(forms.TextInput):
    """Renders without a template, like :class:`PlainSelect`."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        own = {"type": self.input_type, "name": name, "value": self.format_value(value)}
        return format_html("<input{}>", flatatt({**own, **self.build_attrs(self.attrs, attrs)}))


class VerdictForm(forms.Form):
    """Form for a reader's verdict."""

    verdict = forms.ChoiceField(choices=Verdict.choices)
    kind = forms.ChoiceField(choices=[("", _("not said")), *PneumoniaKind.choices], required=False)
    comment = forms.CharField(max_length=1000, required=False)
    seen = forms.ChoiceField(choices=ReviewStage.choices, required=False)

    def review_arguments(self) -> dict[str, Any]:
        """The arguments for :func:`webapp.reviews.services.review`."""
        arguments = {**self.cleaned_data, "seen": self.cleaned_data["seen"] or None}
        return arguments if arguments["verdict"] == Verdict.PNEUMONIA else {**arguments, "kind": ""}


class Choice(forms.ChoiceField):
    """An optional filter with a list of values."""

    widget = PlainSelect

    def __init__(self, choices: Iterable[Any], label: "StrOrPromise") -> None:
        super().__init__(choices=[ANY, *choices], label=label, required=False)


class Day(forms.CharField):
    def __init__(self, label: "StrOrPromise") -> None:
        super().__init__(label=label, required=False, widget=PlainInput(attrs={"type": "date"}))


class FilterForm(forms.Form):
    """The filters of a list."""

    #: Filters that are always visible. The others unfold.
    FIRST: tuple[str, ...]

    department = Choice([], _("Department"))

    def __init__(self, initial: dict[str, str], departments: Sequence[tuple[str, str]]) -> None:
        """``departments``: slugs and names of the departments to choose from."""
        # An address may have a time, of which only the day is shown.
        shown = {name: text[:10] if name.startswith("created_") else text for name, text in initial.items()}
        super().__init__(initial=shown, auto_id="filter-%s")
        self.use_required_attribute = False
        if departments:
            cast("forms.ChoiceField", self.fields["department"]).choices = [ANY, *departments]
        else:
            del self.fields["department"]

    def first(self) -> list[forms.BoundField]:
        """The fields that are always visible, except for the search."""
        return [self[name] for name in self.FIRST if name in self.fields]

    def others(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in (*self.FIRST, "search")]

    def others_are_used(self) -> bool:
        return any(self.initial.get(field.name) for field in self.others())


class WorklistFilterForm(FilterForm):
    """The filters of the worklist."""

    FIRST = ("stage", "group", "department", "waiting_hours")

    stage = forms.ChoiceField(
        choices=[("", _("all images to read")), *ReviewStage.choices],
        label=_("Reading"),
        required=False,
        widget=PlainSelect,
    )
    group = Choice(counted.LABELS.items(), _("Result"))
    waiting_hours = Choice(
        [("1", _("1 hour")), ("4", _("4 hours")), ("24", _("a day")), ("72", _("3 days"))], _("Waits at least")
    )

    field_order = FIRST


class StudyFilterForm(FilterForm):
    """The filters of studies. A study matches filters of results if one of its images does."""

    FIRST = ("group", "status", "reviewed")

    search = forms.CharField(
        label=_("Search"),
        required=False,
        widget=PlainInput(attrs={"type": "search", "placeholder": _("Beginning of a name or patient, or an id")}),
    )
    group = Choice(counted.LABELS.items(), _("Result"))
    status = Choice(StudyStatus.choices, _("Status"))
    reviewed = Choice([("false", _("not yet")), ("true", _("yes"))], _("Reviewed"))
    patient = forms.CharField(label=_("Patient"), required=False, widget=PlainInput)
    created_after = Day(_("From"))
    created_before = Day(_("Before"))
    ordering = forms.ChoiceField(
        choices=[("", _("newest first")), ("created_at", _("oldest first"))],
        label=_("Sorted"),
        required=False,
        widget=PlainSelect,
    )
    label = Choice(Label.choices, _("Label"))
    warning = Choice(WarningCode.choices, _("Warning"))
    priority = Choice(Priority.choices, _("Priority"))
    source = Choice(Source.choices, _("Source"))

    field_order = (
        "search", "group", "status", "reviewed", "department", "patient", "created_after", "created_before", "ordering",
        "label", "warning", "priority", "source",
    )  # fmt: skip


class ImageFilterForm(StudyFilterForm):
    """The filters of images."""

    status = Choice(Status.choices, _("Status"))
