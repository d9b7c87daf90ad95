"""The remaining URLs that list or count something, which :mod:`tests.benchmarks.scale` measures."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from tests.benchmarks.scale_requests import Roles, get
from webapp.accounts.identity import Identity
from webapp.departments.models import Membership, Role
from webapp.dicom.models import Destination, Retrieves
from webapp.notifications.models import Webhook
from webapp.searches.models import SavedSearch
from webapp.sharing.models import Share
from webapp.sharing.services import share_by_link
from webapp.studies.choices import Status
from webapp.studies.models import Image, Study


def operations(roles: Roles) -> dict[str, Callable[[], Any]]:
    image = Image.objects.filter(status=Status.SUCCEEDED, department__slug="seed").first()
    large = Study.objects.get(name="study 0")
    owned = Image.objects.filter(status=Status.SUCCEEDED, owner__username="seed-0").first()
    webhook, _ = Webhook.objects.get_or_create(user=owned.owner, url="https://example.org/mine")
    member = Membership.objects.filter(department__slug="seed", user__username="seed-0").get()
    scanner, _ = User.objects.get_or_create(username="bench-scanner")
    Membership.objects.get_or_create(user=scanner, department=member.department, service=True, role=Role.UPLOADER)
    service = f"service-accounts/{member.department.memberships.get(user=scanner).pk}"
    Share.objects.filter(study=large, user=None).delete()
    _, token = share_by_link(Identity(user=scanner), large, 1)
    pacs, _ = Destination.objects.get_or_create(
        department=member.department, name="bench", host="pacs.example.org", called_ae="PACS", retrieves=Retrieves.GET
    )
    view = SavedSearch.objects.filter(user__username="seed-0")[0]
    manager_urls = [
        "/api/v1/departments/seed/", "/api/v1/departments/seed/invitations/",
        "/api/v1/departments/seed/service-accounts/", f"/api/v1/images/{image.pk}/reviews/",
        f"/api/v1/images/{image.pk}/shares/", f"/api/v1/studies/{image.study_id}/shares/",
        f"/api/v1/patients/{image.patient_id}/", f"/api/v1/studies/{image.study_id}/results.csv",
        f"/api/v1/studies/{image.study_id}/results.jsonl", f"/departments/seed/members/{member.pk}/remove/",
        "/departments/seed/notifications/", "/departments/seed/settings/", f"/images/{image.pk}/card/",
        f"/images/{image.pk}/delete/", f"/images/{image.pk}/edit/", f"/images/{image.pk}/share/",
        f"/patients/{image.patient_id}/delete/", f"/patients/{image.patient_id}/edit/",
        f"/patients/{image.patient_id}/merge/", f"/studies/{image.study_id}/delete/",
        f"/studies/{image.study_id}/edit/", f"/studies/{image.study_id}/progress/",
        f"/studies/{image.study_id}/share/",
        f"/departments/seed/{service}/",
        f"/api/v1/departments/seed/{service}/tokens/", "/departments/seed/calibration/",
        f"/api/v1/studies/{image.study_id}/fhir/", "/departments/seed/destinations/", "/departments/seed/senders/",
        "/departments/seed/rules/", "/departments/seed/pacs/", f"/destinations/{pacs.pk}/",
        "/api/v1/departments/seed/destinations/", "/api/v1/departments/seed/pacs/",
        f"/api/v1/destinations/{pacs.pk}/", f"/api/v1/destinations/{pacs.pk}/deliveries/",
    ]  # fmt: skip
    member_urls = [
        "/api/v1/auth/tokens/", "/api/v1/saved-views/", "/api/v1/webhooks/", "/accounts/sessions/", "/accounts/tokens/",
        "/accounts/delete/", "/notifications/emails/", "/patients/new/", f"/saved-views/{view.pk}/", "/api/v1/emails/",
        "/saved-views/?list=worklist", f"/patients/{owned.patient_id}/delete/", f"/api/v1/webhooks/{webhook.pk}/",
        f"/api/v1/webhooks/{webhook.pk}/deliveries/",
    ]  # fmt: skip
    administrator_urls = [
        "/departments/seed/delete/", f"/api/v1/studies/{large.pk}/results.csv", "/audit/audit.csv",
        f"/studies/{large.pk}/delete/", f"/studies/{large.pk}/progress/", "/metrics",
        f"/shared/{token}/", "/queue/doctor/", *(
            f"/admin/{path}/" for path in (
                "reviews/review", "notifications/webhook", "retention/purgereport", "departments/department",
                "accounts/token",
            )
        ),
    ]  # fmt: skip
    timed = {}
    clients: tuple[tuple[str, Client, list[str]], ...] = (
        ("manager", roles.manager, manager_urls),
        ("member of several", roles.member, member_urls),
        ("administrator", roles.admin, administrator_urls),
    )
    for role, client, urls in clients:
        timed |= {f"{role}: {_without_ids(url)}": get(url, client) for url in urls}
    return timed


def _without_ids(url: str) -> str:
    return "/".join("ID" if len(part) in (36, 43) else part for part in url.split("/"))
