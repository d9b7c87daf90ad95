"""Metrics for Prometheus: counters of the processes, and the current state of the database and the queues.

Queries cost the same for a thousand images as for a hundred million: they only read images that wait and images of the
last hour, through an index.
"""

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import Error
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from webapp.audit.models import Chain, Entry
from webapp.ops import certificate
from webapp.ops.models import Reconciliation, Worker
from webapp.studies import dispatch
from webapp.studies.choices import FINAL, WAITING, Priority, ReadingState, Status
from webapp.studies.models import Image, Reading
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.services import pauses

HOUR = timedelta(hours=1)
#: The step for which images of each status wait.
STEP = {Status.QUEUED: dispatch.INGEST, Status.READY: dispatch.INFER}


class DatabaseCollector(Collector):
    """Metrics of images and workers from the database, and whether the database responds at all."""

    def collect(self) -> Iterator[Metric]:
        up = 1
        try:
            yield from [
                *(*self._waiting(), self._finished(), self._shadows()),
                *(*self._workers(), *self._outbox(), *self._reconciler(), *self._audit()),
            ]
        except Error:
            up = 0
        yield GaugeMetricFamily("pneumoqueue_database_up", "Whether the database answers", value=up)

    def _waiting(self) -> Iterator[Metric]:
        now = timezone.now()
        images = GaugeMetricFamily("pneumoqueue_images", "Images without a result, by status", labels=["status"])
        ages = GaugeMetricFamily(
            "pneumoqueue_queue_oldest_seconds", "Age of the oldest image that waits in a queue", labels=["queue"]
        )
        lengths = GaugeMetricFamily("pneumoqueue_queue_images", "Images that wait in a queue", labels=["queue"])
        # Images that wait for their department's night, or for the end of a pause, are not late.
        held = Reading.objects.set_aside()
        yield GaugeMetricFamily(
            "pneumoqueue_images_held", "Images that wait for the night of their department or the end of a pause",
            value=held.count(),
        )  # fmt: skip
        waiting = Image.objects.waiting().exclude(pk__in=held.values("image"))
        if paused := pauses.current():
            waiting = waiting.exclude(paused.images(), status=Status.QUEUED)
        rows = waiting.order_by().values_list("status", "priority")
        found = {(status, priority): (n, first) for status, priority, n, first in
                 rows.annotate(Count("pk"), Min("created_at"))}  # fmt: skip
        for status in WAITING:
            images.add_metric([status], sum(found.get((status, priority), (0,))[0] for priority in Priority))
        for status, step in STEP.items():
            for priority in Priority:
                count, first = found.get((status, priority), (0, now))
                queue = dispatch.queue_of(step, priority)
                lengths.add_metric([queue], count)
                ages.add_metric([queue], max(0.0, (now - first).total_seconds()))
        oldest = min((first for _, first in found.values()), default=now)
        yield from (images, lengths, ages)
        yield GaugeMetricFamily(
            "pneumoqueue_oldest_waiting_seconds", "Age of the oldest image without a result",
            value=max(0.0, (now - oldest).total_seconds()),
        )  # fmt: skip

    def _finished(self) -> Metric:
        finished = GaugeMetricFamily(
            "pneumoqueue_images_finished_last_hour", "Images that came to an end in the last hour",
            labels=["status", "code"],
        )  # fmt: skip
        hour = Image.objects.filter(finished_at__gt=timezone.now() - HOUR).order_by()
        # One query per status: if grouped by status, SQLite would scan all images.
        for status in FINAL:
            images_in_status = hour.filter(status=status)
            found = (
                {"": 0} | dict(images_in_status.values_list("error_code").annotate(Count("pk")))
                if status == Status.FAILED
                else {"": images_in_status.count()}
            )
            for code, count in found.items():
                finished.add_metric([status, code], count)
        return finished

    def _shadows(self) -> Metric:
        waiting = GaugeMetricFamily(
            "pneumoqueue_shadow_readings", "Readings of models beside the one that counts, which wait", labels=["model"]
        )
        ready = Reading.objects.filter(state=ReadingState.READY, shadow=True).order_by()
        for bundle, count in ready.values_list("bundle").annotate(Count("pk")):
            waiting.add_metric([bundle], count)
        return waiting

    def _workers(self) -> Iterator[Metric]:
        ready = list(Worker.objects.ready())
        workers = GaugeMetricFamily("pneumoqueue_workers", "Workers able to work at once", labels=["role"])
        for role in ("ingest", "bulk", "infer", "deliver", *(["dicom"] if settings.DICOM_PORT else [])):
            workers.add_metric([role], sum(worker.role == role for worker in ready))
        models = InfoMetricFamily("pneumoqueue_model", "The model, engine and device of each worker that reads")
        batches = GaugeMetricFamily(
            "pneumoqueue_max_batch", "Images that a worker reads together at most, as it measured", labels=["worker"]
        )
        for worker in ready:
            if worker.role == "infer" and worker.model:
                labels = {"worker": worker.name, "model": worker.model, "engine": worker.engine}
                models.add_metric([], {**labels, "device": worker.device})
                batches.add_metric([worker.name], worker.max_batch)
        yield from (workers, models, batches)

    def _outbox(self) -> Iterator[Metric]:
        now = timezone.now()
        open_deliveries = Delivery.objects.filter(state__in=(State.WAITING, State.SENDING))
        found = open_deliveries.aggregate(number=Count("*"), first=Min("next_attempt_at"))
        overdue = (now - (found["first"] or now)).total_seconds()
        dead = Delivery.objects.filter(state=State.DEAD).count()
        for name, text, value in (
            ("waiting", "Deliveries that have not arrived yet", found["number"]),
            ("dead", "Deliveries that were given up", dead),
            ("oldest_seconds", "How long the delivery that waits longest has been due", max(0.0, overdue)),
        ):
            yield GaugeMetricFamily(f"pneumoqueue_outbox_{name}", text, value=value)

    def _reconciler(self) -> Iterator[Metric]:
        counts = CounterMetricFamily(
            "pneumoqueue_reconciled", "What the reconciler found lost, and sent again or released", labels=["what"]
        )
        last = GaugeMetricFamily("pneumoqueue_last_reconciled_timestamp_seconds", "When the reconciler last looked")
        rows = list(Reconciliation.objects.all())
        for row in rows:
            counts.add_metric([row.what], row.found)
        if rows:
            last.add_metric([], max(row.looked_at for row in rows).timestamp())
        yield from (counts, last)

    def _audit(self) -> Iterator[Metric]:
        now = timezone.now()
        chain = Chain.objects.filter(pk=1).first()
        # The count is needed too: for the minimum alone, PostgreSQL may scan all entries, starting with sealed ones.
        unsealed = Entry.objects.filter(position=None).aggregate(Count("pk"), oldest=Min("created_at"))
        oldest = unsealed["oldest"] or now
        yield GaugeMetricFamily(
            "pneumoqueue_audit_sealed", "Position of the last entry in the audit's chain, which never falls",
            value=chain.head if chain else 0,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "pneumoqueue_audit_unsealed_seconds", "How long the oldest entry has waited to be sealed",
            value=max(0.0, (now - oldest).total_seconds()),
        )  # fmt: skip


class SurroundingsCollector(Collector):
    """Metrics of the broker, the disk and the certificate."""

    def collect(self) -> Iterator[Metric]:
        yield from self._broker()
        yield from self._disk()
        expires = certificate.expires_at(settings.TLS_CERTIFICATE) if settings.TLS_CERTIFICATE else None
        if expires is not None:
            yield GaugeMetricFamily(
                "pneumoqueue_certificate_expiry_timestamp_seconds", "When the proxy's certificate expires",
                value=expires,
            )  # fmt: skip

    def _broker(self) -> Iterator[Metric]:
        messages = GaugeMetricFamily("pneumoqueue_queue_messages", "Messages not yet taken", labels=["queue"])
        up = 1
        try:
            for step in (dispatch.INGEST, dispatch.INFER):
                for priority in Priority:
                    queue = dispatch.queue_of(step, priority)
                    messages.add_metric([queue], dispatch.messages_waiting(queue))
            messages.add_metric([dispatch.UNPACK_QUEUE], dispatch.messages_waiting(dispatch.UNPACK_QUEUE))
            yield messages
        except dispatch.broker_errors():
            # The other metrics are still valid.
            up = 0
        yield GaugeMetricFamily("pneumoqueue_broker_up", "Whether the broker answers", value=up)

    def _disk(self) -> Iterator[Metric]:
        try:
            usage = shutil.disk_usage(settings.DATA_DIR)
        except OSError:
            return
        yield GaugeMetricFamily("pneumoqueue_disk_size_bytes", "Size of the disk with DATA_DIR", value=usage.total)
        yield GaugeMetricFamily("pneumoqueue_disk_free_bytes", "Free space on the disk with DATA_DIR", value=usage.free)


#: The collectors behind /metrics. Apps that depend on this one add theirs.
COLLECTORS: list[type[Collector]] = [DatabaseCollector, SurroundingsCollector]


def exposition() -> bytes:
    """All metrics in Prometheus' text format, summed over all processes that count into the same folder."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)
        own = generate_latest(registry)
    else:
        own = generate_latest(REGISTRY)
    domain = CollectorRegistry()
    for collector in COLLECTORS:
        domain.register(collector())
    return own + generate_latest(domain)
