from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class DepartmentsConfig(AppConfig):
    name = "webapp.departments"

    def ready(self) -> None:
        from webapp.accounts import invitations
        from webapp.departments import signing_in
        from webapp.departments.invitations import on_accepted

        invitations.accepted.connect(on_accepted)
        user_logged_in.connect(signing_in.refuse_service_accounts, dispatch_uid="refuse_service_accounts")
