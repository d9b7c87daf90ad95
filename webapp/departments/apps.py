from django.apps import AppConfig


class DepartmentsConfig(AppConfig):
    name = "webapp.departments"

    def ready(self) -> None:
        from webapp.accounts import invitations
        from webapp.departments.invitations import on_accepted

        invitations.accepted.connect(on_accepted)
