"""The current alerts as Prometheus metrics."""

from collections.abc import Iterator

from django.db import Error
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from webapp.agreement.models import Alert


class AlertCollector(Collector):
    """Exports the alerts: a model that finds too few pneumonias, or images that have changed."""

    def collect(self) -> Iterator[Metric]:
        alerts = GaugeMetricFamily(
            "pneumoqueue_agreement_alerts",
            "What calls for attention in a department: the lower bound of the sensitivity, or the index of a feature",
            labels=["department", "model", "about"],
        )
        try:
            rows = list(Alert.objects.select_related("department"))
        except Error:
            return  # pneumoqueue_database_up reports it
        for alert in rows:
            alerts.add_metric([alert.department.slug, alert.bundle, alert.about], alert.value)
        yield alerts
