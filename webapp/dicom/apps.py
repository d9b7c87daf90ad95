from django.apps import AppConfig


class DicomConfig(AppConfig):
    name = "webapp.dicom"

    def ready(self) -> None:
        from webapp.dicom import results
        from webapp.studies.services import deletion

        deletion.deleting.connect(results.on_deletion)
