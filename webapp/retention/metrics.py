"""Prometheus metric of the purge."""

from collections.abc import Iterator

from django.db import Error
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from webapp.retention.models import PurgeReport


class PurgeCollector(Collector):
    """The time at which the purge last ended. The metric is absent until the first run has ended."""

    def collect(self) -> Iterator[Metric]:
        ended = PurgeReport.objects.filter(finished_at__isnull=False).order_by("-started_at")
        try:
            last = ended.values_list("finished_at", flat=True).first()
        except Error:
            return  # pneumoqueue_database_up reports it
        if last:
            yield GaugeMetricFamily(
                "pneumoqueue_last_purged_timestamp_seconds", "When the purge last ended", value=last.timestamp()
            )
