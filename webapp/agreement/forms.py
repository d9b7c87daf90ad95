"""Forms for choosing what the pages show."""

from datetime import date
from typing import Any, cast

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from webapp.agreement import local, selection
from webapp.departments import permissions

MONTH = RegexValidator(r"^[12][0-9]{3}-(0[1-9]|1[0-2])\Z", "Write a month as 2026-03.")


def first_day(month: str) -> date | None:
    """The first day of a month given as ``2026-03``."""
    return date.fromisoformat(f"{month}-01") if month else None


class ChoiceForm(forms.Form):
    department = forms.ChoiceField(required=False, label=_("Department"))
    model = forms.ChoiceField(required=False, label=_("Model"))
    since = forms.CharField(required=False, label=_("From"), validators=[MONTH])
    until = forms.CharField(required=False, label=_("Until"), validators=[MONTH])

    def __init__(self, data: Any, identity: Any) -> None:
        super().__init__(data)
        everything = _("the whole service") if permissions.is_administrator(identity.user) else _("all that I manage")
        departments = permissions.managed_departments(identity)
        self._offer("department", [("", everything), *((one.slug, one.name) for one in departments)])
        names = selection.models(selection.scope(identity))
        self._offer("model", [("", _("all")), *((name, name) for name in names)])
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "month", "placeholder": "2026-03"})

    def _offer(self, name: str, choices: list[tuple[str, Any]]) -> None:
        cast("forms.ChoiceField", self.fields[name]).choices = choices

    def chosen(self) -> dict[str, Any]:
        """The arguments of :func:`webapp.agreement.selection.report_for`."""
        data = self.cleaned_data
        return {**data, "since": first_day(data["since"]), "until": first_day(data["until"])}


class CalibrationForm(forms.Form):
    """The images that a department's calibration is fitted on, and the sensitivities that it must reach."""

    since = forms.DateField(required=False, label=_("Images received from"))
    until = forms.DateField(required=False, label=_("until"))
    signs = forms.TypedChoiceField(
        coerce=int, label=_("Pneumonias that should be found"),
        choices=[(value, f"{value} %") for value in local.SIGNS],
    )  # fmt: skip
    no_signs = forms.TypedChoiceField(
        coerce=int, label=_("Pneumonias that should not be missed"),
        choices=[(value, f"{value} %") for value in local.NO_SIGNS],
    )  # fmt: skip
    seen = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def __init__(self, data: Any) -> None:
        super().__init__({"signs": local.SIGNS[-2], "no_signs": local.NO_SIGNS[-1], **data.dict()})
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if {"signs", "no_signs"} <= set(cleaned) and cleaned["no_signs"] < cleaned["signs"]:
            raise forms.ValidationError(
                _("The share that must not be missed has to be at least the share that should be found.")
            )
        return cleaned
