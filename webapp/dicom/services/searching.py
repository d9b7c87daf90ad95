"""Search a department's PACS for studies, and fetch those that are chosen.

A worker asks the PACS: the outbox holds what is to be asked, so that it is asked however often a process is killed, and
no web thread waits for a PACS.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.core.validators import RegexValidator
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dicom.models import Destination, Instance, Progress, Retrieval, Search
from webapp.refusals import Refused
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import AWAITED
from webapp.studies.transactions import atomically

#: The kinds of deliveries: a search, and some seconds of a retrieval.
SEARCH, RETRIEVE = AWAITED, "dicom.retrieve"
#: What a study is searched by; at least one of these.
CRITERIA = ("patient_id", "patient_name", "birth_date", "date_from", "date_until", "modality", "accession_number")
#: The modalities of what is read here; a search without one looks for these.
MODALITIES = ("CR", "DX")
#: DICOM takes an asterisk and a question mark for any letters, and a backslash for the next value.
no_wildcards = RegexValidator(r"^[^*?\\\x00-\x1f]*$", _("Without * ? and \\."))
#: Studies that a search shows at most.
MOST_FOUND = 200
#: What a department may have under way at once.
MOST_SEARCHES, MOST_RETRIEVALS = 10, 500
#: What was found is about patients who may never have been here.
KEPT = timedelta(days=1)


@atomically
def search(by: Identity, destination: Destination, criteria: dict[str, Any]) -> Search:
    """Have a PACS searched.

    Args:
        by: who looks for something.
        destination: the PACS.
        criteria: by the names in :data:`CRITERIA`; empty values count for nothing.

    Raises:
        Refused: ``destination_disabled``, ``search_too_wide`` or ``pacs_busy``.
    """
    if not destination.enabled:
        raise Refused("destination_disabled", "This destination is switched off. Switch it on first.")
    given = {name: str(criteria[name]) for name in CRITERIA if criteria.get(name)}
    if not given.keys() - {"modality"}:
        raise Refused("search_too_wide", "Please enter a patient or dates to search for.")
    waiting = Search.objects.filter(department=destination.department, state=Progress.WAITING)
    if waiting.count() >= MOST_SEARCHES:
        raise Refused("pacs_busy", "This department already has many requests at its PACS. Please wait a moment.")
    made = Search.objects.create(
        destination=destination, department=destination.department, asked_by=by.user, criteria=given
    )
    record(by, Action.LIST, made, criteria=sorted(given))
    # To no receiver of the outbox: whoever looks for something does not wait for one that was silent a while ago.
    outbox.put(SEARCH, f"{SEARCH}:{made.pk}", {"search": str(made.pk)})
    return made


@atomically
def retrieve(by: Identity, found: Search, study_uids: Collection[str]) -> list[Retrieval]:
    """Have studies fetched that a search has found. One that is being fetched is left to that; others begin again.

    Raises:
        Refused: ``no_such_study`` or ``pacs_busy``.
    """
    known = {study["study_uid"] for study in found.found}
    if not study_uids or set(study_uids) - known:
        raise Refused("no_such_study", "Please choose studies found by this search.")
    waiting = Retrieval.objects.filter(department=found.department, state=Progress.WAITING)
    if waiting.count() + len(study_uids) > MOST_RETRIEVALS:
        raise Refused("pacs_busy", f"This department fetches {MOST_RETRIEVALS} studies at once at most. Please wait.")
    begun = []
    for uid in dict.fromkeys(study_uids):
        one = Retrieval.objects.filter(search=found, study_uid=uid).first()
        if one is None or one.state != Progress.WAITING:
            again: dict[str, Any] = {"state": Progress.WAITING, "error": "", "refused": [], "finished_at": None}
            one, _new = Retrieval.objects.update_or_create(
                search=found, study_uid=uid, defaults={"department": found.department, **again}
            )
            record(by, Action.CREATE, one)
            go_on(one)
        begun.append(one)
    return begun


def go_on(retrieval: Retrieval) -> None:
    """Have some more seconds spent on a retrieval, in the caller's transaction."""
    key, payload = f"{RETRIEVE}:{retrieval.pk}:{uuid4()}", {"retrieval": str(retrieval.pk)}
    # One at a time from each PACS. Results on their way to it are another line.
    outbox.put(RETRIEVE, key, payload, destination=f"retrieve:{retrieval.search.destination_id}")


@atomically
def cancel(by: Identity, retrieval: Retrieval) -> bool:
    """Fetch no more of a study; what has come stays.

    Returns:
        False where it had come to its end.
    """
    if not finish(retrieval, Progress.CANCELLED):
        return False
    record(by, Action.CANCEL, retrieval)
    return True


def finish(asked: Search | Retrieval, state: Progress, error: str = "", **found: Any) -> bool:
    """Write the end of a search or a retrieval, unless it has come to one; whether it was written."""
    waiting = type(asked).objects.filter(pk=asked.pk, state=Progress.WAITING)
    return bool(waiting.update(state=state, error=error[:200], finished_at=timezone.now(), **found))


def here(found: Search) -> set[str]:
    """The UIDs of those studies that a search has found of which the department has images."""
    uids = [study["study_uid"] for study in found.found]
    images = Instance.objects.filter(study_uid__in=uids, image__department=found.department)
    return set(images.values_list("study_uid", flat=True).distinct())


def delete_old() -> int:
    """Delete searches of more than a day ago, with their retrievals; how many these were."""
    _rows, by_model = Search.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    return by_model.get("dicom.Search", 0)
