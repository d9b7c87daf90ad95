"""Search a department's PACS for studies, and fetch chosen ones.

A worker sends the requests to the PACS. They are in the outbox, so that none is lost if a process is killed, and no web
thread waits for a PACS.
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

#: The kinds of deliveries: a search, and a part of a retrieval that takes some seconds.
SEARCH, RETRIEVE = AWAITED, "dicom.retrieve"
#: The criteria of a search, of which at least one other than the modality is needed.
CRITERIA = ("patient_id", "patient_name", "birth_date", "date_from", "date_until", "modality", "accession_number")
#: The modalities that this service reads; a search without a modality looks for both.
MODALITIES = ("CR", "DX")
#: In DICOM an asterisk and a question mark are wildcards, and a backslash separates values.
no_wildcards = RegexValidator(r"^[^*?\\\x00-\x1f]*$", _("Without * ? and \\."))
#: Largest number of studies that a search shows.
MOST_FOUND = 200
#: Largest number of searches and of retrievals that a department may have waiting.
MOST_SEARCHES, MOST_RETRIEVALS = 10, 500
#: How long searches are kept. They may describe patients who were never sent to this service.
KEPT = timedelta(days=1)


@atomically
def search(identity: Identity, destination: Destination, criteria: dict[str, Any]) -> Search:
    """Queue a search of a PACS.

    Args:
        identity: who searches.
        destination: the PACS.
        criteria: values by the names in :data:`CRITERIA`; empty values are ignored.

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
    new_search = Search.objects.create(
        destination=destination, department=destination.department, asked_by=identity.user, criteria=given
    )
    record(identity, Action.LIST, new_search, criteria=sorted(given))
    # Without a destination in the outbox, so that the user does not wait because a PACS did not respond a while ago.
    outbox.put(SEARCH, f"{SEARCH}:{new_search.pk}", {"search": str(new_search.pk)})
    return new_search


@atomically
def retrieve(identity: Identity, search: Search, study_uids: Collection[str]) -> list[Retrieval]:
    """Queue retrievals of studies that a search has found. Retrievals that wait continue; ended ones start again.

    Raises:
        Refused: ``no_such_pacs``, ``no_such_study`` or ``pacs_busy``.
    """
    if not search.destination.may_be_searched:  # a manager may have changed that since the search
        raise Refused("no_such_pacs", "Please choose one of the department's PACS that may be searched.")
    known = {study["study_uid"] for study in search.found}
    if not study_uids or set(study_uids) - known:
        raise Refused("no_such_study", "Please choose studies found by this search.")
    waiting = Retrieval.objects.filter(department=search.department, state=Progress.WAITING)
    if waiting.count() + len(study_uids) > MOST_RETRIEVALS:
        raise Refused("pacs_busy", f"This department can fetch at most {MOST_RETRIEVALS} studies at once. Please wait.")
    retrievals = []
    for uid in dict.fromkeys(study_uids):
        retrieval = Retrieval.objects.filter(search=search, study_uid=uid).first()
        if retrieval is None or retrieval.state != Progress.WAITING:
            restarted: dict[str, Any] = {"state": Progress.WAITING, "error": "", "refused": [], "finished_at": None}
            retrieval, _new = Retrieval.objects.update_or_create(
                search=search, study_uid=uid, defaults={"department": search.department, **restarted}
            )
            record(identity, Action.CREATE, retrieval)
            go_on(retrieval)
        retrievals.append(retrieval)
    return retrievals


def go_on(retrieval: Retrieval) -> None:
    """Queue the next part of a retrieval, in the caller's transaction."""
    key, payload = f"{RETRIEVE}:{retrieval.pk}:{uuid4()}", {"retrieval": str(retrieval.pk)}
    # One at a time from each PACS, independent of results that are sent to it.
    outbox.put(RETRIEVE, key, payload, destination=f"retrieve:{retrieval.search.destination_id}")


@atomically
def cancel(identity: Identity, retrieval: Retrieval) -> bool:
    """Fetch no more images of a study. Images that have arrived stay.

    Returns:
        False if the retrieval had already ended.
    """
    if not finish(retrieval, Progress.CANCELLED):
        return False
    record(identity, Action.CANCEL, retrieval)
    return True


def finish(pacs_request: Search | Retrieval, state: Progress, error: str = "", **found: Any) -> bool:
    """Save the end of a search or retrieval, unless it has ended already. Return whether it was saved."""
    waiting = type(pacs_request).objects.filter(pk=pacs_request.pk, state=Progress.WAITING)
    return bool(waiting.update(state=state, error=error[:200], finished_at=timezone.now(), **found))


def present_studies(search: Search) -> set[str]:
    """The UIDs of the found studies of which the department already has images."""
    uids = [study["study_uid"] for study in search.found]
    images = Instance.objects.filter(study_uid__in=uids, image__department=search.department)
    return set(images.values_list("study_uid", flat=True).distinct())


def delete_old() -> int:
    """Delete searches that are older than a day, with their retrievals. Return how many were deleted."""
    _rows, by_model = Search.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    return by_model.get("dicom.Search", 0)
