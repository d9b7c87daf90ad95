from django.apps import AppConfig


class OutboxConfig(AppConfig):
    name = "webapp.studies.outbox"
    verbose_name = "outbox"
