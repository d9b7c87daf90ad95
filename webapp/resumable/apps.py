from django.apps import AppConfig


class ResumableConfig(AppConfig):
    name = "webapp.resumable"
