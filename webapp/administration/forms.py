"""Forms of the pages of departments."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from webapp.departments import settings as department_settings
from webapp.departments.models import Department, Role

GB = 2**30


class SettingsForm(forms.ModelForm):
    """Form for a department's settings. The service checks rules that involve several fields."""

    daily_gigabytes = forms.DecimalField(
        label=_("Gigabytes a day"), required=False, min_value=0, decimal_places=2, max_digits=10,
        help_text=_("ZIPs unpacked. Empty for no limit."),
    )  # fmt: skip

    class Meta:
        model = Department
        fields = tuple(name for name in department_settings.FIELDS if name != "daily_bytes")
        labels = {
            "operating_point": _("Operating point"),
            "retention_days": _("Days that images are kept"),
            "daily_images": _("Images a day"),
            "night_start": _("Bulk images are read from"),
            "night_end": _("Bulk images are read until"),
            "share": _("Share of each batch"),
            "label_outside_training": _("Label images of other ages and views"),
            "prevalence": _("Pneumonias among 100 children X-rayed here"),
            "second_reading": _("Two readers for each image"),
            "least_sensitivity": _("Of 100 pneumonias, the model has to find"),
        }
        help_texts = {
            "operating_point": _(
                "The score from which an image is called pneumonia. A change applies to future results of this "
                "department only; existing results stay as they are. A calibration of the department takes "
                "precedence."
            ),
            "retention_days": _("Older ones are deleted with their results. Empty to keep them."),
            "daily_images": _("Empty for no limit."),
            "night_end": "",
            "label_outside_training": _("The model was not trained on these. Their labels are never called reliable."),
            "prevalence": _(
                "Used to explain what an answer means here, until readers have given verdicts on 100 of the latest "
                "images. Empty for 20, which is an assumption."
            ),
            "second_reading": _(
                "The second reader does not see the first verdict. If they disagree, a third reader decides. A "
                "change applies to future verdicts. When you switch this off, the first verdict counts for images "
                "that still wait for a second."
            ),
            "least_sensitivity": _(
                "Managers are notified if the model has found fewer of your readers' pneumonias in three months. "
                "Empty for no alert."
            ),
            "share": _("Relative to the bulk images of other departments, which have 1 by default."),
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
        # Offer a stored operating point even if the current model does not have it, so that it can be kept.
        names = [*offered, *([chosen] if chosen and chosen not in offered else [])]
        self.fields["operating_point"] = forms.ChoiceField(
            label=self.fields["operating_point"].label,
            help_text=self.fields["operating_point"].help_text,
            required=False,
            choices=[("", _("the service's own")), *((name, name) for name in names)],
        )
        self.fields["night_start"].help_text = gettext(
            "In the time zone %(zone)s. Single images are read at any time. Leave both empty to read bulk images at "
            "any time too."
        ) % {"zone": settings.TIME_ZONE}
        self.order_fields(self.field_order)

    def changes(self) -> dict[str, Any]:
        """The changed values by the name of the department's field."""
        changed = {name: self.cleaned_data[name] for name in self.changed_data if name != "daily_gigabytes"}
        if "daily_gigabytes" in self.changed_data:
            size = self.cleaned_data["daily_gigabytes"]
            changed["daily_bytes"] = None if size is None else int(size * GB)
        return changed


class DepartmentForm(forms.Form):
    name = forms.CharField(max_length=200, label=_("Name"))
    slug = forms.SlugField(max_length=50, label=_("Short name"), help_text=_("in addresses and for scripts; it stays"))


class MemberForm(forms.Form):
    """Form that adds a member. Its ids have their own prefix, because several forms share a page."""

    who = forms.CharField(max_length=254, label=_("User name or e-mail address"))
    role = forms.ChoiceField(choices=Role.choices, label=_("Role"))

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="member_%s")


class InvitationForm(forms.Form):
    email = forms.EmailField(
        required=False, label=_("E-mail address"), help_text=_("Empty for a link that you pass on yourself.")
    )
    role = forms.ChoiceField(choices=Role.choices, label=_("Role"))

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="invitation_%s")


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices, label=_("Role"))


class ServiceAccountForm(forms.Form):
    name = forms.CharField(max_length=80, label=_("What it is for"))
    role = forms.ChoiceField(
        choices=[(Role.UPLOADER, _("uploads")), (Role.READER, _("reads results"))], label=_("What it does")
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="account_%s")


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, label=_("Where the token will be used"))
