"""A department's rules for images from DICOM files, based on the attributes of the files."""

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

#: Name in conditions for the sender's AE title, which is no attribute of the file.
CALLING_AE = "CallingAE"
#: The attributes that conditions may use, by DICOM keyword, as in :data:`ml.pictures.dicom.attributes.FOR_RULES`.
ATTRIBUTES = frozenset({
    CALLING_AE, "AccessionNumber", "BodyPartExamined", "CurrentPatientLocation", "DeviceSerialNumber", "ImageType",
    "InstitutionName", "InstitutionalDepartmentName", "Manufacturer", "ManufacturerModelName", "Modality",
    "PatientAge", "PatientID", "PatientSex", "PerformedProcedureStepDescription", "PresentationIntentType",
    "ProtocolName", "ReferringPhysicianName", "RequestedProcedureDescription", "RequestedProcedurePriority",
    "RequestingService", "SeriesDescription", "StationName", "StudyDate", "StudyDescription", "ViewPosition",
})  # fmt: skip
#: Those of them that are in a file.
IN_FILES = ATTRIBUTES - {CALLING_AE}
#: A condition, such as "InstitutionName starts with City".
CONDITION = re.compile(r"(\w+) +(is|contains|starts with|over|under) +(\S.*)")
MOST_CONDITIONS, MOST_RULES = 10, 50
#: Days in each unit of an age, as in :data:`ml.pictures.dicom.attributes.DAYS`.
DAYS = {"d": 1.0, "w": 7.0, "m": 30.4375, "y": 365.25}


def check_conditions(text: str) -> None:
    """Validate the conditions of a rule. Raises ValidationError."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > MOST_CONDITIONS:
        raise ValidationError(_("A rule has no more than %(most)d conditions."), params={"most": MOST_CONDITIONS})
    for line in lines:
        match = CONDITION.fullmatch(line.strip())
        if match is None:
            raise ValidationError(
                _('"%(line)s" is not a condition. A condition looks like: InstitutionName starts with City'),
                params={"line": line[:100]},
            )
        attribute, comparison, value = match.groups()
        if attribute not in ATTRIBUTES:
            raise ValidationError(
                _("There is no attribute %(name)s. The attributes are: %(known)s."),
                params={"name": attribute, "known": ", ".join(sorted(ATTRIBUTES))},
            )
        if comparison in ("over", "under") and _number(value) is None:
            raise ValidationError(_('"%(line)s" needs a number.'), params={"line": line[:100]})


def decide(department: Department, texts: Mapping[str, str], calling_ae: str = "") -> Rule | None:
    """The rule that applies to an image: the first one whose conditions are met.

    Args:
        department: the image's department.
        texts: the attributes of its file, by keyword.
        calling_ae: the sender's AE title; empty if the image was uploaded.
    """
    return first_that_fits(department.dicom_rules.all(), texts, calling_ae)


def lately(department: Department) -> list[Rule]:
    """The rules of a department in their order, cached for at most a second."""
    rules: list[Rule] | None = caches["process"].get_or_set(
        f"dicom_rules:{department.pk}", lambda: list(department.dicom_rules.all())
    )
    return rules or []


def first_that_fits(rules: Iterable[Rule], texts: Mapping[str, str], calling_ae: str) -> Rule | None:
    """The first of the given rules whose conditions an image meets; see :func:`decide`."""
    attributes = {**texts, CALLING_AE: calling_ae}
    return next((rule for rule in rules if fits(rule.conditions, attributes)), None)


def fits(conditions: str, attributes: Mapping[str, str]) -> bool:
    """Whether all conditions are met. A missing attribute meets no condition."""
    parsed = (CONDITION.fullmatch(line.strip()) for line in conditions.splitlines() if line.strip())
    return all(condition is not None and _is_met(condition, attributes) for condition in parsed)


def _is_met(condition: re.Match[str], attributes: Mapping[str, str]) -> bool:
    attribute, comparison, value = condition.groups()
    text, value = attributes.get(attribute, "").strip().casefold(), value.strip().casefold()
    if comparison in ("over", "under"):
        read = _years if attribute == "PatientAge" else _number
        number, bound = read(text), read(value)
        if number is None or bound is None:
            return False
        return number > bound if comparison == "over" else number < bound
    if comparison == "is":
        return text == value
    return bool(text) and (value in text if comparison == "contains" else text.startswith(value))


def _number(text: str) -> float | None:
    """The number at the beginning of a text."""
    match = re.match(r"-?\d{1,15}(\.\d{1,15})?", text.strip())
    return float(match[0]) if match else None


def _years(text: str) -> float | None:
    """An age in years, from a text in lower case such as 018m."""
    # Some files leave out the unit, and mean years.
    match = re.match(r"(-?\d{1,15}(?:\.\d{1,15})?) *([dwmy]?)", text)
    return float(match[1]) * DAYS[match[2] or "y"] / DAYS["y"] if match else None


@atomically
def save(identity: Identity, rule: Rule) -> Rule:
    """Add a rule, or change one.

    Raises:
        Refused: ``too_many_rules``.
    """
    is_new = rule._state.adding
    if is_new and rule.department.dicom_rules.count() >= MOST_RULES:
        raise Refused("too_many_rules", f"A department has at most {MOST_RULES} rules.")
    rule.save()
    record(identity, Action.CREATE if is_new else Action.CHANGE, rule)
    return rule


@atomically
def delete(identity: Identity, rule: Rule) -> None:
    record(identity, Action.DELETE, rule)
    rule.delete()


def from_lines(text: str) -> dict[str, str]:
    """Read attributes that were typed by hand: a keyword, "=" and a value in each line."""
    pairs: list[Any] = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    return {keyword.strip(): value.strip() for keyword, value in pairs}
