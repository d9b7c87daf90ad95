"""The forms of departments' pages."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings

from webapp.departments import settings as department_settings
from webapp.departments.models import Department, Role

GB = 2**30


class SettingsForm(forms.ModelForm):
    """A department's settings. The service checks the rules that concern several fields."""

    daily_gigabytes = forms.DecimalField(
        label="Gigabytes a day", required=False, min_value=0, decimal_places=2, max_digits=10,
        help_text="ZIPs unpacked. Empty for no limit.",
    )  # fmt: skip

    class Meta:
        model = Department
        fields = tuple(name for name in department_settings.FIELDS if name != "daily_bytes")
        labels = {
            "operating_point": "Operating point",
            "retention_days": "Days that images are kept",
            "daily_images": "Images a day",
            "night_start": "Bulk images are read from",
            "night_end": "Bulk images are read until",
            "share": "Share of each batch",
            "label_outside_training": "Label images of other ages and views",
            "prevalence": "Pneumonias among 100 children X-rayed here",
            "second_reading": "Two readers for each image",
            "least_sensitivity": "Of 100 pneumonias, the model has to find",
        }
        help_texts = {
            "operating_point": "The threshold from which an image is called pneumonia. Another one counts for results "
            "from now on; those that are there stay as they are, and so do those of other departments.",
            "retention_days": "Older ones are deleted with their results. Empty to keep them.",
            "daily_images": "Empty for no limit.",
            "night_end": "",
            "label_outside_training": "The model did not learn from these. Their labels are never called reliable.",
            "prevalence": "For what an answer means here, until readers' verdicts on 100 of the latest images tell it. "
            "Empty for 20, which is an assumption.",
            "second_reading": "The second one does not see what the first one says. Where they disagree, a third one "
            "decides. Counts for verdicts from now on. Once it is switched off, the first verdict stands on what still "
            "waits for a second.",
            "least_sensitivity": "Managers are told when it has found fewer of those by your readers in three months. "
            "Empty for no alert.",
            "share": "Beside other departments' bulk images, which have 1 unless they say otherwise.",
        }
        widgets = {
            "night_start": forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
            "night_end": forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        }

    field_order = (
        "name", "operating_point", "label_outside_training", "prevalence", "second_reading", "least_sensitivity",
        "share", "night_start", "night_end", "retention_days", "daily_images", "daily_gigabytes",
    )  # fmt: skip

    def __init__(self, data: Any = None, *, instance: Department, offered: Sequence[str]) -> None:
        size = instance.daily_bytes
        initial = {"daily_gigabytes": None if size is None else round(size / GB, 2)}
        super().__init__(data, instance=instance, initial=initial)
        chosen = instance.operating_point
        # Show a stored operating point even if the current model does not have it, so that it can be kept.
        names = [*offered, *([chosen] if chosen and chosen not in offered else [])]
        self.fields["operating_point"] = forms.ChoiceField(
            label=self.fields["operating_point"].label,
            help_text=self.fields["operating_point"].help_text,
            required=False,
            choices=[("", "the service's own"), *((name, name) for name in names)],
        )
        self.fields["night_start"].help_text = (
            f"By the clocks of {settings.TIME_ZONE}. Single images are read at any time. Leave both empty to read bulk "
            "images at any time, too."
        )
        self.order_fields(self.field_order)

    def changes(self) -> dict[str, Any]:
        """The changed values by the names of the department's fields."""
        changed = {name: self.cleaned_data[name] for name in self.changed_data if name != "daily_gigabytes"}
        if "daily_gigabytes" in self.changed_data:
            size = self.cleaned_data["daily_gigabytes"]
            changed["daily_bytes"] = None if size is None else int(size * GB)
        return changed


class DepartmentForm(forms.Form):
    name = forms.CharField(max_length=200)
    slug = forms.SlugField(max_length=50, label="Short name", help_text="in addresses and for scripts; it stays")


class MemberForm(forms.Form):
    """Has its own prefix for ids, since two forms share a page."""

    who = forms.CharField(max_length=254, label="User name or e-mail address")
    role = forms.ChoiceField(choices=Role.choices)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="member_%s")


class InvitationForm(forms.Form):
    email = forms.EmailField(
        required=False, label="E-mail address", help_text="Empty for a link that you pass on yourself."
    )
    role = forms.ChoiceField(choices=Role.choices)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="invitation_%s")


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class ServiceAccountForm(forms.Form):
    name = forms.CharField(max_length=80, label="What it is for")
    role = forms.ChoiceField(choices=[(Role.UPLOADER, "uploads"), (Role.READER, "reads results")], label="What it does")

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="account_%s")


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, label="Where the token will be used")
