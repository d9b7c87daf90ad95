"""The admin site's app, apart from this one's: workers have no admin site."""

from django.contrib.admin.apps import AdminConfig


class RecordedAdminConfig(AdminConfig):
    """Django's admin with a site that records what is done there."""

    default_site = "webapp.accounts.admin_site.RecordedSite"
