from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "webapp.ops"
    verbose_name = "operations"

    def ready(self) -> None:
        from webapp.ops import encodings  # noqa: F401  (it registers itself)
