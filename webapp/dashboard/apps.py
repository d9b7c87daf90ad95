from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "webapp.dashboard"

    def ready(self) -> None:
        from allauth.account.signals import user_logged_in

        from webapp.dashboard import looks

        user_logged_in.connect(looks.restore)
