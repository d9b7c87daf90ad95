from django.apps import AppConfig


class AgreementConfig(AppConfig):
    name = "webapp.agreement"

    def ready(self) -> None:
        from webapp.agreement.metrics import AlertCollector
        from webapp.ops import metrics

        metrics.COLLECTORS.append(AlertCollector)
