"""Ask a department's PACS for studies (C-FIND)."""

import time
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association

from ml.pictures.dicom import elements
from ml.pictures.dicom.attributes import patient_name
from webapp.dicom.models import Destination, Progress, Search
from webapp.dicom.services import searching
from webapp.studies.outbox.models import Delivery
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.dicom import associating

#: C-FIND of the study root (PS3.4 C.6.2).
FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
#: Seconds after which nothing more is asked for, far from the limit of the task.
TOTAL_SECONDS = 25
#: Answers to one request that are taken at most.
MOST_ANSWERS = 5000
# Statuses (PS3.4 C.4.1).
SUCCESS, PENDING = 0x0000, (0xFF00, 0xFF01)
#: The attributes that a search shows of a study, and their lengths.
SHOWN = {
    "study_uid": ("StudyInstanceUID", 64),
    "patient_id": ("PatientID", 64),
    "accession_number": ("AccessionNumber", 16),
    "description": ("StudyDescription", 64),
    "images": ("NumberOfStudyRelatedInstances", 12),
}


def search(delivery: Delivery) -> str:
    """Search a PACS, once: who waits for it asks again themselves.

    Raises:
        ObsoleteError: it is answered, or was deleted.
    """
    waiting = Search.objects.select_related("destination").filter(state=Progress.WAITING)
    asked = waiting.filter(pk=delivery.payload["search"]).first()
    if asked is None:
        raise ObsoleteError("the search was answered or deleted")
    try:
        found, more = find_studies(asked.destination, asked.criteria)
    except NotDeliveredError as error:
        searching.finish(asked, Progress.FAILED, str(error))
        return str(error)
    searching.finish(asked, Progress.DONE, found=found, more=more)
    return f"found {len(found)}"


def find_studies(destination: Destination, criteria: dict[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """The studies at a PACS that suit some criteria, the latest first, and whether there are more.

    Raises:
        NotDeliveredError: the PACS does not answer, or refuses.
    """
    rows: list[dict[str, Any]] = []
    wanted = {criteria["modality"]} if "modality" in criteria else set(searching.MODALITIES)
    association = associating.associate(destination, {FIND: SYNTAXES})
    try:
        for one in find(association, _identifier(criteria), time.monotonic() + TOTAL_SECONDS):
            modalities = _modalities(one)
            if modalities and not wanted & set(modalities):
                continue
            if len(rows) == searching.MOST_FOUND:
                association.abort()  # it has more than anybody looks through
                return _sorted(rows), True
            if (row := _row(one, modalities))["study_uid"]:
                rows.append(row)
    finally:
        if association.is_established:
            association.release()
    return _sorted(rows), False


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["date"], reverse=True)


def _identifier(criteria: dict[str, str]) -> Dataset:
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 192"
    asked.QueryRetrieveLevel = "STUDY"
    asked.StudyTime = ""
    for keyword, _ in SHOWN.values():
        setattr(asked, keyword, "")
    asked.PatientID = criteria.get("patient_id", "")
    asked.AccessionNumber = criteria.get("accession_number", "")
    asked.ModalitiesInStudy = criteria.get("modality", "")
    asked.PatientName = f"{criteria['patient_name'].replace(', ', '^')}*" if "patient_name" in criteria else ""
    asked.PatientBirthDate = criteria.get("birth_date", "").replace("-", "")
    days = [criteria.get(name, "").replace("-", "") for name in ("date_from", "date_until")]
    asked.StudyDate = "-".join(days) if any(days) else ""
    return asked


def _row(one: Dataset, modalities: list[str]) -> dict[str, Any]:
    return {
        **{name: elements.text(one, keyword)[:length] for name, (keyword, length) in SHOWN.items()},
        "patient_name": patient_name(one)[:64],
        "birth_date": _iso(elements.day(one, "PatientBirthDate")),
        "date": _iso(elements.day(one, "StudyDate")),
        "modalities": modalities,
    }


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""


def _modalities(one: Dataset) -> list[str]:
    found = elements.value(one, "ModalitiesInStudy")
    several = [found] if isinstance(found, str) else found or []
    return [str(each)[:16] for each in several][:20]


def ask(send: Callable[..., Any], *what: Any) -> Any:
    """Send a request; the answers, one by one. Raises NotDeliveredError where that is not possible."""
    try:
        return send(*what)
    except ValueError:
        raise NotDeliveredError("the PACS does not offer this kind of search or retrieval", permanent=True) from None
    except RuntimeError:
        raise NotDeliveredError("the PACS has ended the association", unreachable=True) from None


def find(association: Association, asked: Dataset, until: float) -> Iterator[Dataset]:
    """What a PACS finds.

    Args:
        association: one with C-FIND of the study root.
        asked: the identifier.
        until: when it has to end, by :func:`time.monotonic`.

    Raises:
        NotDeliveredError: the PACS refuses, falls silent, or has not come to an end.
    """
    for number, (status, found) in enumerate(ask(association.send_c_find, asked, FIND)):
        if "Status" not in status:
            raise NotDeliveredError("the PACS has not answered in time", unreachable=True)
        if int(status.Status) in PENDING and found is not None:
            if time.monotonic() > until or number > MOST_ANSWERS:
                association.abort()
                raise NotDeliveredError("the PACS finds too much, or is too slow; please search for less")
            yield found
        elif int(status.Status) != SUCCESS:
            raise NotDeliveredError(f"the PACS refuses the search (status {status.Status:04X})", permanent=True)
