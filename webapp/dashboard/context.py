"""Context processor for every page."""

from functools import cache

from django.conf import settings
from django.http import HttpRequest

from webapp.dashboard import looks
from webapp.dashboard.identity import viewer
from webapp.departments import permissions


def service(request: HttpRequest) -> dict[str, object]:
    identity = cache(lambda: viewer(request))
    return {
        "theme": looks.theme(request),
        "themes": looks.THEMES,
        "flower_url": settings.FLOWER_URL,
        "has_mail": bool(settings.EMAIL_URL),
        "admin_contact": settings.ADMIN_CONTACT,
        "registration": settings.REGISTRATION,
        "has_sso": bool(settings.OIDC_SERVER_URL),
        # Functions, because only pages with the menu need these.
        "has_worklist": lambda: bool(permissions.reviewable_by_owner(identity())),
        "may_read_audit": lambda: permissions.may_read_audit(identity()),
        "may_see_agreement": lambda: permissions.may_see_agreement(identity()),
        "may_see_queues": lambda: permissions.may_see_queues(identity()),
    }
