"""App of the admin site. It is separate from the accounts app because workers have no admin site."""

from django.contrib.admin.apps import AdminConfig


class RecordedAdminConfig(AdminConfig):
    """Django's admin with a site that records all actions in the audit."""

    default_site = "webapp.accounts.admin_site.RecordedSite"
