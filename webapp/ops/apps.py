from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "webapp.ops"
    verbose_name = "operations"

    def ready(self) -> None:
        from webapp.ops import beat, encodings  # noqa: F401  (they register themselves)
