"""Keep what comes by STOW-RS, the way in which the listener keeps what comes by C-STORE."""

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import Error

from webapp.accounts.identity import Identity
from webapp.departments.models import Department
from webapp.dicom.accepted import CLASSES, SYNTAXES
from webapp.dicom.models import Peer
from webapp.dicom.services import instances, rules
from webapp.dicom.services.arrivals import Arrival, Outcome
from webapp.dicom.services.receiving import receive
from webapp.dicom.web import accepting, headers, multipart
from webapp.dicom.web.attributes import LEVELS
from webapp.dicom.web.matching import UID
from webapp.refusals import Refused

logger = logging.getLogger(__name__)

# Reasons of failures (PS3.18 I.2.2).
OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0xA700, 0xA900, 0xC000
CLASS_NOT_SUPPORTED, SYNTAX_NOT_SUPPORTED, NOT_AUTHORIZED = 0x0122, 0xC122, 0x0124
URGENT = ("STAT", "HIGH")


@dataclass
class Stored:
    """What became of a part: stored, unless there is a reason for its failure.

    Attributes:
        attributes: the UIDs of its file, as far as they are known.
        arrival: what is to be kept.
    """

    attributes: dict[str, Any]
    failure: int = 0
    arrival: Arrival | None = None


def store(by: Identity, department: Department, parts: Sequence[multipart.Part], study: str) -> Iterator[Stored]:
    """Keep instances. What this says is stored is on the disk and in the database.

    Args:
        study: the only Study Instance UID that is taken; empty for any.
    """
    peer = Peer(department=department)
    for_rules = rules.IN_FILES if rules.lately(department) else ()
    found = [_read(by, peer, part, study, for_rules) for part in parts]
    if arrivals := [one.arrival for one in found if one.arrival]:
        failures = dict(zip(arrivals, _kept(arrivals), strict=True))
        for one in found:
            if one.arrival:
                one.failure = failures[one.arrival]
    yield from found


def _read(by: Identity, peer: Peer, part: multipart.Part, study: str, for_rules: Collection[str]) -> Stored:
    if part.file is None or part.kind not in ("", accepting.DICOM):
        return Stored({}, CANNOT_UNDERSTAND)
    try:
        header = headers.read(part.file)
    except headers.Unreadable:
        return Stored({}, CANNOT_UNDERSTAND)
    known = {**_attributes(header), "for_rules": header.texts(for_rules)}
    failure = _refusal(known, study)
    if failure:
        return Stored(known, failure)
    urgent = header.text("RequestedProcedurePriority").upper() in URGENT
    return Stored(known, arrival=Arrival(peer, part.file, known, urgent, by, part.sha256))


def _attributes(header: headers.Header) -> dict[str, Any]:
    """What tells an instance from others. The worker that prepares it keeps the rest of what is kept."""
    found: dict[str, Any] = {field.name: None if field.null else "" for field in instances.FIELDS}
    for name, keyword in (
        ("study_uid", "StudyInstanceUID"),
        ("series_uid", "SeriesInstanceUID"),
        ("instance_uid", "SOPInstanceUID"),
        ("class_uid", "SOPClassUID"),
        ("modality", "Modality"),
        ("study_description", "StudyDescription"),
    ):
        found[name] = header.text(keyword)
    found["transfer_syntax"] = header.syntax
    return found


def _refusal(known: dict[str, Any], study: str) -> int:
    """The reason why an instance is not taken; 0 where there is none."""
    if not all(re.fullmatch(UID, known[f"{level}_uid"]) for level in LEVELS):
        return CANNOT_UNDERSTAND
    if study and known["study_uid"] != study:
        return MISMATCH
    if known["class_uid"] not in CLASSES:
        return CLASS_NOT_SUPPORTED
    return 0 if known["transfer_syntax"] in SYNTAXES else SYNTAX_NOT_SUPPORTED


def _kept(arrivals: Sequence[Arrival]) -> list[int]:
    """The reason why each could not be kept; 0 where it is."""
    try:
        outcomes = receive(arrivals)
    except (OSError, Error) as error:
        logger.error("instances cannot be stored: %s", type(error).__name__)
        return [OUT_OF_RESOURCES] * len(arrivals)
    return [_reason(outcome) for outcome in outcomes]


def _reason(outcome: Outcome | Exception) -> int:
    if isinstance(outcome, Outcome):
        return 0
    if not isinstance(outcome, Refused):
        logger.error("an instance cannot be stored: %s", type(outcome).__name__)
        return OUT_OF_RESOURCES
    logger.warning("an instance was not stored: %s", outcome.code)
    return NOT_AUTHORIZED if outcome.code == "study_cancelled" else OUT_OF_RESOURCES
