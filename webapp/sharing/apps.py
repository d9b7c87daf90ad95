from django.apps import AppConfig
from django.db.models.signals import pre_delete


class SharingConfig(AppConfig):
    name = "webapp.sharing"

    def ready(self) -> None:
        from django.contrib.auth.models import User

        from webapp.departments.models import Membership
        from webapp.sharing import services

        pre_delete.connect(services.on_membership_end, sender=Membership, dispatch_uid="links_of_members")
        pre_delete.connect(services.on_account_deletion, sender=User, dispatch_uid="links_of_accounts")
