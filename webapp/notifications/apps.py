from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "webapp.notifications"
    verbose_name = "notifications"
