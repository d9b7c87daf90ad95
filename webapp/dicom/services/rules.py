"""What a department does with images that come as DICOM files, by what their files say."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache import caches
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.dicom.models import Rule
from webapp.refusals import Refused
from webapp.studies.transactions import atomically

#: Stands for the AE title that has sent an image, which no attribute of its file says.
CALLING_AE = "CallingAE"
#: What conditions are about, by DICOM's keywords; :data:`ml.pictures.dicom.attributes.FOR_RULES` names the same.
ATTRIBUTES = frozenset({
    CALLING_AE, "AccessionNumber", "BodyPartExamined", "CurrentPatientLocation", "DeviceSerialNumber", "ImageType",
    "InstitutionName", "InstitutionalDepartmentName", "Manufacturer", "ManufacturerModelName", "Modality",
    "PatientAge", "PatientID", "PatientSex", "PerformedProcedureStepDescription", "PresentationIntentType",
    "ProtocolName", "ReferringPhysicianName", "RequestedProcedureDescription", "RequestedProcedurePriority",
    "RequestingService", "SeriesDescription", "StationName", "StudyDate", "StudyDescription", "ViewPosition",
})  # fmt: skip
#: What a file says of that.
IN_FILES = ATTRIBUTES - {CALLING_AE}
#: "InstitutionName starts with City", and the like.
CONDITION = re.compile(r"(\w+) +(is|contains|starts with|over|under) +(\S.*)")
MOST_CONDITIONS, MOST_RULES = 10, 50


def check_conditions(text: str) -> None:
    """A validator."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_CONDITIONS:
        raise ValidationError(_("A rule has no more than %(most)d conditions."), params={"most": MOST_CONDITIONS})
    for line in lines:
        found = CONDITION.fullmatch(line.strip())
        if found is None:
            raise ValidationError(
                _('"%(line)s" is not a condition. A condition looks like: InstitutionName starts with City'),
                params={"line": line[:100]},
            )
        attribute, comparison, value = found.groups()
        if attribute not in ATTRIBUTES:
            raise ValidationError(
                _("There is no attribute %(name)s. The attributes are: %(known)s."),
                params={"name": attribute, "known": ", ".join(sorted(ATTRIBUTES))},
            )
        if comparison in ("over", "under") and _number(value) is None:
            raise ValidationError(_('"%(line)s" needs a number.'), params={"line": line[:100]})


def decide(department: Department, texts: Mapping[str, str], calling_ae: str = "") -> Rule | None:
    """The rule that counts for an image: the first one that fits.

    Args:
        department: the image's.
        texts: what its file says, by keyword.
        calling_ae: the AE title that has sent it; empty where it was uploaded.
    """
    return first_that_fits(department.dicom_rules.all(), texts, calling_ae)


def lately(department: Department) -> list[Rule]:
    """The rules of a department, in their order, as they were at most a second ago."""
    found: list[Rule] | None = caches["process"].get_or_set(
        f"dicom_rules:{department.pk}", lambda: list(department.dicom_rules.all())
    )
    return found or []


def first_that_fits(known: Iterable[Rule], texts: Mapping[str, str], calling_ae: str) -> Rule | None:
    """The same of rules that are read already, for many images."""
    said = {**texts, CALLING_AE: calling_ae}
    return next((rule for rule in known if fits(rule.conditions, said)), None)


def fits(conditions: str, said: Mapping[str, str]) -> bool:
    """Whether all conditions are met. What a file does not say meets none."""
    found = (CONDITION.fullmatch(line.strip()) for line in conditions.splitlines() if line.strip())
    return all(condition is not None and _is_met(condition, said) for condition in found)


def _is_met(condition: re.Match[str], said: Mapping[str, str]) -> bool:
    attribute, comparison, value = condition.groups()
    text, value = said.get(attribute, "").strip().casefold(), value.strip().casefold()
    if comparison in ("over", "under"):
        number, bound = _number(text), _number(value)
        if number is None or bound is None:
            return False
        return number > bound if comparison == "over" else number < bound
    if comparison == "is":
        return text == value
    return bool(text) and (value in text if comparison == "contains" else text.startswith(value))


def _number(text: str) -> float | None:
    """The number that a text begins with, such as 60 of the age 060Y."""
    found = re.match(r"-?\d{1,15}(\.\d{1,15})?", text.strip())
    return float(found[0]) if found else None


@atomically
def save(by: Identity, rule: Rule) -> Rule:
    """Add a rule, or change one.

    Raises:
        Refused: ``too_many_rules``.
    """
    is_new = rule._state.adding
    if is_new and rule.department.dicom_rules.count() >= MOST_RULES:
        raise Refused("too_many_rules", f"A department has at most {MOST_RULES} rules.")
    rule.save()
    record(by, Action.CREATE if is_new else Action.CHANGE, rule)
    return rule


@atomically
def delete(by: Identity, rule: Rule) -> None:
    record(by, Action.DELETE, rule)
    rule.delete()


def from_lines(text: str) -> dict[str, str]:
    """What an image says, written by hand: a keyword, "=" and a value in each line."""
    pairs: list[Any] = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    return {keyword.strip(): value.strip() for keyword, value in pairs}
