"""The context of every page."""

from django.conf import settings
from django.http import HttpRequest


def service(request: HttpRequest) -> dict[str, object]:
    return {
        "flower_url": settings.FLOWER_URL,
        "has_mail": bool(settings.EMAIL_URL),
        "admin_contact": settings.ADMIN_CONTACT,
        "registration": settings.REGISTRATION,
        "has_sso": bool(settings.OIDC_SERVER_URL),
    }
