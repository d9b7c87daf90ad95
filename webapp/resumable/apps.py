from django.apps import AppConfig


class ResumableConfig(AppConfig):
    name = "webapp.resumable"

    def ready(self) -> None:
        from webapp.resumable import services
        from webapp.studies.services import deletion, takeover

        takeover.taken_over.connect(services.on_sign_in)
        deletion.deleting.connect(services.on_deletion)
