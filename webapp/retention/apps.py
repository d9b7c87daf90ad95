from django.apps import AppConfig


class RetentionConfig(AppConfig):
    name = "webapp.retention"

    def ready(self) -> None:
        from webapp.ops import metrics
        from webapp.retention.metrics import PurgeCollector

        metrics.COLLECTORS.append(PurgeCollector)
