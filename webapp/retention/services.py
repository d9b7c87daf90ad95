"""The purge: a run with a time limit that deletes expired data and unreferenced files, and reports what it deleted.

If a run runs out of time, the next run continues with the rest.
"""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from webapp.accounts import invitations, tokens
from webapp.audit import chain
from webapp.dicom.services import searching
from webapp.notifications.models import News
from webapp.ops.models import Worker
from webapp.resumable import services as resumable
from webapp.retention import policy, sweep
from webapp.retention.models import PurgeReport
from webapp.retention.run import Run
from webapp.sharing import services as sharing
from webapp.studies.choices import WAITING
from webapp.studies.models import Image, Patient, Study
from webapp.studies.outbox import services as outbox
from webapp.studies.services import deletion, expiry, idempotency, turns

logger = logging.getLogger(__name__)

#: A worker that has not been seen for this time is gone for good.
WORKERS_KEPT = timedelta(days=1)
DELIVERIES_KEPT = timedelta(days=30)
REPORTS_KEPT = timedelta(days=90)
NEWS_KEPT = timedelta(days=90)
STUDIES = 50


def purge(seconds: float | None = None, *, dry: bool = False, force: bool = False) -> PurgeReport:
    """Run every step of :data:`STEPS`. If a step fails, report it and continue with the others.

    Args:
        seconds: time limit for all steps; ``PURGE_SECONDS`` by default.
        dry: only count, and do not store the report.
        force: delete files without a row even if these are more than half of all files.
    """
    last = PurgeReport.objects.order_by("-started_at").first()
    report = PurgeReport(positions=last.positions if last else {})
    if not dry:
        report.save()
    run = Run(report, time.monotonic() + (settings.PURGE_SECONDS if seconds is None else seconds), dry, force)
    for step in STEPS:
        try:
            step(run)
        except Exception as error:
            logger.exception("%s failed", step.__name__)
            report.errors.append(f"{step.__name__}: {type(error).__name__}: {error}"[:500])
    report.removed = {name: number for name, number in run.removed.items() if number}
    report.complete = not run.unfinished and not report.errors
    report.finished_at = timezone.now()
    if not dry:
        report.save()
    logger.info("purged: %s%s", report, "" if report.complete else "; the rest is left to the next run")
    return report


def delete_expired(run: Run) -> None:
    """Delete expired uploads. An upload that still waits for its result is kept until it has one."""
    for rule in policy.expired():
        studies = _at_rest(rule)
        images = Image.objects.filter(rule, study=None).exclude(status__in=WAITING).order_by("created_at")
        patients = Patient.objects.filter(
            rule,
            ~Exists(Image.objects.filter(patient=OuterRef("pk"))),
            ~Exists(Study.objects.filter(patient=OuterRef("pk"))),
        )
        if run.dry:
            study_images = Image.objects.filter(study__in=studies.order_by())
            run.removed["studies.Study"] += studies.count()
            run.removed["studies.Image"] += images.count() + study_images.count()
            run.removed["studies.Patient"] += patients.count()
            continue
        # Each time anew, because the queryset knows only which studies were at rest when it was made.
        while run.has_time() and (chunk := list(_at_rest(rule)[:STUDIES])):
            for study in chunk:
                if run.has_time():
                    _add(run, expiry.delete_study(study, rule))
        while run.has_time() and (ids := list(images.values_list("pk", flat=True)[: deletion.CHUNK])):
            _add(run, deletion.delete_images(images.filter(pk__in=ids)))
        while run.has_time() and (ids := list(patients.values_list("pk", flat=True)[: deletion.CHUNK])):
            _add(run, expiry.delete_patients(patients.filter(pk__in=ids)))


def _at_rest(rule: Q) -> Any:
    return Study.objects.filter(rule).at_rest().order_by("created_at")


def _add(run: Run, deleted: deletion.Deleted) -> None:
    run.removed.update(deleted.as_dict())


def sweep_storage(run: Run) -> None:
    """Delete files without a row, and find rows whose files are gone: once a day, in several runs if needed."""
    sweep.delete_orphans(run)
    sweep.delete_broken_off_uploads(run)
    sweep.find_missing(run)


def clear_sessions(run: Run) -> None:
    """Delete expired sessions, as ``manage.py clearsessions`` does."""
    if not run.dry:
        import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


def forget_credentials(run: Run) -> None:
    """Delete expired API tokens, invitations and links, and Idempotency-Keys that are too old to be repeated."""
    if not run.dry:
        run.removed["accounts.Token"] += tokens.delete_expired()
        run.removed["accounts.Invitation"] += invitations.delete_expired()
        run.removed["studies.IdempotencyKey"] += idempotency.delete_old()
        run.removed["sharing.Share"] += sharing.delete_expired()


def forget_searches(run: Run) -> None:
    """Delete old results of searches in the departments' PACS."""
    if not run.dry:
        run.removed["dicom.Search"] += searching.delete_old()


def forget_result_files(run: Run) -> None:
    """Delete the files of DICOM objects that were created on request."""
    sweep.delete_result_files(run)


def forget_unfinished_uploads(run: Run) -> None:
    """Delete resumable uploads a day after their last part."""
    if not run.dry:
        run.removed["resumable.Upload"] += resumable.delete_expired()


def forget_dead_workers(run: Run) -> None:
    _delete(run, "ops.Worker", Worker.objects.filter(seen_at__lt=timezone.now() - WORKERS_KEPT))


def forget_deliveries(run: Run) -> None:
    """Delete old deliveries that have arrived at other systems."""
    if not run.dry:
        run.removed["outbox.Delivery"] += outbox.purge(DELIVERIES_KEPT.days)


def forget_old_news(run: Run) -> None:
    _delete(run, "notifications.News", News.objects.filter(created_at__lt=timezone.now() - NEWS_KEPT))


def forget_old_audit(run: Run) -> None:
    """Delete entries of the audit after ``AUDIT_DAYS``."""
    if settings.AUDIT_DAYS and not run.dry:
        run.removed["audit.Entry"] += chain.forget(settings.AUDIT_DAYS)


def forget_turns(run: Run) -> None:
    """Reset the turns of bulk images if no image waits."""
    if not run.dry:
        run.removed["studies.Turn"] += turns.forget()


def forget_old_reports(run: Run) -> None:
    _delete(run, "retention.PurgeReport", PurgeReport.objects.filter(started_at__lt=timezone.now() - REPORTS_KEPT))


def _delete(run: Run, name: str, rows: Any) -> None:
    run.removed[name] += rows.count() if run.dry else rows.delete()[0]


#: The steps of a run, in order. Each app whose rows expire has a step here. Apps that depend on this one append theirs.
STEPS: list[Callable[[Run], None]] = [
    delete_expired,
    clear_sessions,
    forget_credentials,
    forget_searches,
    forget_result_files,
    forget_unfinished_uploads,
    forget_dead_workers,
    forget_deliveries,
    forget_old_news,
    forget_old_audit,
    forget_turns,
    forget_old_reports,
    sweep_storage,
]
