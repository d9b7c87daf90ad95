"""Prometheus' view: what the web processes count, and what the database and the queues show at the time of asking."""

import os
from collections.abc import Iterator

from django.db.models import Min
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from webapp.ops.models import Worker
from webapp.studies import dispatch
from webapp.studies.models import Image, Priority


class DomainCollector(Collector):
    """Images by status, the age of the oldest that waits, messages by queue, workers by role."""

    def collect(self) -> Iterator[Metric]:
        images = GaugeMetricFamily("pneumoqueue_images", "Images by status", labels=["status"])
        for status, count in Image.objects.all().counts().items():
            images.add_metric([status], count)
        yield images
        oldest = Image.objects.waiting().aggregate(first=Min("created_at"))["first"]
        age = (timezone.now() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily("pneumoqueue_oldest_waiting_seconds", "Age of the oldest unread image", value=age)
        workers = GaugeMetricFamily("pneumoqueue_workers", "Workers able to work at once", labels=["role"])
        for role in ("ingest", "infer"):
            workers.add_metric([role], Worker.objects.ready().filter(role=role).count())
        yield workers
        messages = GaugeMetricFamily("pneumoqueue_queue_messages", "Messages not yet taken", labels=["queue"])
        for step in (dispatch.INGEST, dispatch.INFER):
            for priority in Priority:
                queue = dispatch.queue_of(step, priority)
                try:
                    messages.add_metric([queue], dispatch.messages_waiting(queue))
                except dispatch.broker_errors():
                    # The broker is away; readiness says so, and the other figures still count.
                    return
        yield messages


def exposition() -> bytes:
    """All metrics in Prometheus' text format, over all web processes."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)
        own = generate_latest(registry)
    else:
        own = generate_latest(REGISTRY)
    domain = CollectorRegistry()
    domain.register(DomainCollector())
    return own + generate_latest(domain)
