"""Open studies, which expect more files: they do not finish before they are closed."""

import logging
from datetime import datetime, timedelta

from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.refusals import Refused
from webapp.studies.models import Study
from webapp.studies.services.completion import study_progressed
from webapp.studies.transactions import atomically

logger = logging.getLogger(__name__)

#: How long after its last file an open study is closed, for example if the sender's computer was switched off.
OPEN_FOR = timedelta(minutes=30)


def new_end() -> datetime:
    """Return the time until which a study stays open if it is opened, or gets a file, now."""
    return timezone.now() + OPEN_FOR


def prolonged(study: Study) -> Study:
    """Lock a study until the transaction ends, and return its current row. An open study stays open longer.

    Its owner and patient are updated in ``study``: a guest may have signed in meanwhile.

    Raises:
        Refused: ``study_cancelled`` if the study was cancelled, ``study_gone`` if it was deleted.
    """
    current: Study | None = Study.objects.select_for_update().filter(pk=study.pk).first()
    if current is None:
        raise Refused("study_gone", "This study was deleted meanwhile. Please send a new one.")
    if current.cancelled_at:
        raise Refused("study_cancelled", "This study was cancelled. Please send a new one.")
    study.belong_with(current)
    study.patient_id = current.patient_id
    if current.open_until:
        study.open_until = current.open_until = new_end()
        current.save(update_fields=["open_until"])
    return current


@atomically
def close(identity: Identity, study: Study) -> bool:
    """Close a study, so that it finishes with the files that it has. More files can still be added.

    Returns:
        Whether it was closed. False if it was closed before.
    """
    if not Study.objects.filter(pk=study.pk, open_until__isnull=False).update(open_until=None):
        return False
    record(identity, Action.CHANGE, study, closed=True)
    study_progressed([study.pk])
    logger.info("study %s closed", study.pk)
    return True


def close_abandoned(limit: int) -> int:
    """Close open studies that have had no new file for :data:`OPEN_FOR`. Return their number."""
    overdue = Study.objects.filter(open_until__lte=timezone.now()).order_by("open_until")
    return sum(_close_abandoned(study) for study in overdue[:limit])


@atomically
def _close_abandoned(study: Study) -> bool:
    # A file that arrived in between has moved the end.
    overdue = Study.objects.filter(pk=study.pk, open_until__lte=timezone.now())
    if not overdue.update(open_until=None):
        return False
    study_progressed([study.pk])
    logger.info("study %s closed: no file has come for some time", study.pk)
    return True
