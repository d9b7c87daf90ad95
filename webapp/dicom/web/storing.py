"""Store instances from STOW-RS, as the listener stores images from C-STORE."""

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
# Reason of a warning (PS3.18 I.2.1) for other content under a UID that is in use. None there names this. B000
# (coercion) comes nearest: what is retrieved under the UID differs from what was sent. B006 (elements discarded) and
# B007 (no match with the SOP class) would be wrong. 0111 (duplicate instance) is a failure: some senders send again.
COERCED = 0xB000
URGENT = ("STAT", "HIGH")


@dataclass
class Stored:
    """The outcome of a part: stored, unless it has a failure reason.

    Attributes:
        attributes: the attributes of its file, empty if it cannot be read.
        failure: the failure reason; 0 if there is none.
        warning: the warning reason of a stored part; 0 if there is none.
        arrival: the image to save.
    """

    attributes: dict[str, Any]
    failure: int = 0
    warning: int = 0
    arrival: Arrival | None = None


def store(identity: Identity, department: Department, parts: Sequence[multipart.Part], study: str) -> Iterator[Stored]:
    """Store instances. Those with the outcome "stored" are on the disk and in the database.

    Args:
        study: the only accepted Study Instance UID; empty for any.
    """
    peer = Peer(department=department)
    for_rules = rules.IN_FILES if rules.lately(department) else ()
    outcomes = [_read(identity, peer, part, study, for_rules) for part in parts]
    if arrivals := [one.arrival for one in outcomes if one.arrival]:
        reasons = dict(zip(arrivals, _save(arrivals), strict=True))
        for one in outcomes:
            if one.arrival:
                one.failure, one.warning = reasons[one.arrival]
    yield from outcomes


def _read(identity: Identity, peer: Peer, part: multipart.Part, study: str, for_rules: Collection[str]) -> Stored:
    if part.file is None or part.kind not in ("", accepting.DICOM):
        return Stored({}, CANNOT_UNDERSTAND)
    try:
        header = headers.read(part.file)
    except headers.Unreadable:
        return Stored({}, CANNOT_UNDERSTAND)
    attributes = {**_attributes(header), "for_rules": header.texts(for_rules)}
    failure = _refusal(attributes, study)
    if failure:
        return Stored(attributes, failure)
    urgent = header.text("RequestedProcedurePriority").upper() in URGENT
    arrival = Arrival(peer, part.file, attributes, urgent, identity, part.sha256)
    return Stored(attributes, arrival=arrival)


def _attributes(header: headers.Header) -> dict[str, Any]:
    """The attributes that identify an instance. The worker that prepares the image saves the others."""
    attributes: dict[str, Any] = {field.name: None if field.null else "" for field in instances.FIELDS}
    for name, keyword in (
        ("study_uid", "StudyInstanceUID"),
        ("series_uid", "SeriesInstanceUID"),
        ("instance_uid", "SOPInstanceUID"),
        ("class_uid", "SOPClassUID"),
        ("modality", "Modality"),
        ("study_description", "StudyDescription"),
    ):
        attributes[name] = header.text(keyword)
    attributes["transfer_syntax"] = header.syntax
    return attributes


def _refusal(attributes: dict[str, Any], study: str) -> int:
    """The reason why an instance is refused; 0 if it is accepted."""
    if not all(re.fullmatch(UID, attributes[f"{level}_uid"]) for level in LEVELS):
        return CANNOT_UNDERSTAND
    if study and attributes["study_uid"] != study:
        return MISMATCH
    if attributes["class_uid"] not in CLASSES:
        return CLASS_NOT_SUPPORTED
    return 0 if attributes["transfer_syntax"] in SYNTAXES else SYNTAX_NOT_SUPPORTED


def _save(arrivals: Sequence[Arrival]) -> list[tuple[int, int]]:
    """Save images. Return the reasons of the failure and of the warning of each; 0 if there is none."""
    try:
        outcomes = receive(arrivals)
    except (OSError, Error) as error:
        logger.error("instances cannot be stored: %s", type(error).__name__)
        return [(OUT_OF_RESOURCES, 0)] * len(arrivals)
    return [(_failure(outcome), COERCED if outcome is Outcome.CHANGED else 0) for outcome in outcomes]


def _failure(outcome: Outcome | Exception) -> int:
    if isinstance(outcome, Outcome):
        return 0
    if not isinstance(outcome, Refused):
        logger.error("an instance cannot be stored: %s", type(outcome).__name__)
        return OUT_OF_RESOURCES
    logger.warning("an instance was not stored: %s", outcome.code)
    return NOT_AUTHORIZED if outcome.code == "study_cancelled" else OUT_OF_RESOURCES
