from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class StudiesConfig(AppConfig):
    name = "webapp.studies"
    verbose_name = "studies"

    def ready(self) -> None:
        from webapp.studies.services import takeover

        user_logged_in.connect(takeover.on_sign_in)
