"""The requests of clients of each role that :mod:`tests.benchmarks.scale` measures, with complete answers."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import cycle
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.benchmarks.scale_rows import ADMINISTRATOR, MANAGER
from webapp.accounts import identity
from webapp.audit.models import Entry
from webapp.http.pagination import Place
from webapp.notifications.models import News, Webhook
from webapp.studies.choices import Status
from webapp.studies.models import Image, Study

Operations = dict[str, Callable[[], Any]]
#: Filters of images, alone and combined: common ones, rare ones, and some that match nothing.
IMAGE_FILTERS = (
    "", "ordering=created_at", "status=failed", "status=ready", "group=positive", "group=unusable", "label=PNEUMONIA",
    "warning=end_missing", "warning=metadata_ignored", "reviewed=true", "reviewed=false", "priority=interactive",
    "source=upload", "source=dicom", "source=dicom&group=positive",
    "created_after=2026-03-01&created_before=2026-03-02", "search=IM-", "search=IM-01",
    "search=PAT-001", "search=nothing", "group=unclear&label=NORMAL", "group=unclear&label=PNEUMONIA",
    "search=IM-&group=negative",
    "status=failed&priority=interactive", "status=succeeded&reviewed=false&priority=bulk&ordering=created_at",
    "warning=end_missing&group=positive&reviewed=true", "search=IM-01&group=positive&reviewed=true",
    "reviewed=true&priority=interactive&created_before=2020-01-01", "group=unusable&reviewed=true&ordering=created_at",
)  # fmt: skip
STUDY_FILTERS = (
    "", "ordering=created_at", "status=queued", "status=running", "status=finished", "status=cancelled",
    "source=upload", "source=dicom", "search=study", "search=study 1", "search=PAT-00012", "search=PAT-00",
    "search=nothing",
    "status=running&search=study", "status=finished&search=study 1",
    "created_after=2026-03-01&created_before=2026-03-02", "group=positive", "group=unclear&reviewed=false",
    "warning=end_missing", "label=PNEUMONIA&priority=interactive",
)  # fmt: skip
PATIENT_FILTERS = (
    "",
    "ordering=created_at",
    "search=PAT-",
    "search=PAT-001",
    "search=PAT-0001234",
    "search=Khan",
    "search=Khan 77",
    "search=nothing",
)
#: Filters of the audit for common and rare values, alone and combined.
AUDIT_FILTERS = (
    "", "action=view", "action=role_change", "person=seed-0", "person=seed-77", "person=seed-77&action=delete",
    "person=nobody", "action=delete&since=2026-03-01&until=2026-03-02", "since=2026-03-01&until=2026-03-02",
)  # fmt: skip


class Roles:
    """Clients of each role."""

    def __init__(self) -> None:
        self.admin = self._user(ADMINISTRATOR)
        self.manager = self._user(MANAGER)
        self.member = self._user("seed-0")
        self.clerk = self._user("seed-1")
        self.person = self._user("seed-2")
        self.guest = Client(headers={identity.HEADER: identity.make_token(self._largest_guest())})

    def __iter__(self) -> Iterator[tuple[str, Client]]:
        yield from {
            "administrator": self.admin, "manager": self.manager, "member of several": self.member,
            "member of one": self.clerk, "person": self.person, "guest": self.guest,
        }.items()  # fmt: skip

    def _user(self, name: str) -> Client:
        client = Client()
        client.force_login(User.objects.get(username=name))
        return client

    def _largest_guest(self) -> UUID:
        guest: UUID = Study.objects.filter(guest__isnull=False).order_by("-created_at")[0].guest
        return guest


#: Keys that a process caches for a second; they are deleted, so that no request uses what another has computed.
CACHED_KEYS = ("checks", "queues", "images_per_second")
#: URLs that are measured.
measured: set[str] = set()


def get(url: str, client: Client) -> Callable[[], Any]:
    """An operation that requests a URL, without values that another request has just cached."""
    measured.add(url)

    def run() -> Any:
        caches["process"].delete_many(CACHED_KEYS)
        answer = client.get(url)
        assert answer.status_code == 200, (url, answer.status_code, answer.content[:500])
        if not answer.streaming:
            return answer.content
        first = next(iter(answer.streaming_content))
        answer.close()
        return first

    return run


def post(client: Client, url: str, *bodies: dict[str, Any], status: int = 200, put: bool = False) -> Callable[[], Any]:
    """An operation that sends one of the bodies, in turns."""
    turns = cycle(bodies)

    def run() -> None:
        body = next(turns)
        answer = client.put(url, body, content_type="application/json") if put else client.post(url, body)
        assert answer.status_code == status, (url, answer.status_code, answer.content[:500])

    return run


def _joined(url: str, *queries: str) -> str:
    return "?".join((url, "&".join(filter(None, queries)))).rstrip("?")


def operations(roles: Roles) -> Operations:
    return {
        "SELECT 1": _trivial,
        **_lists(roles),
        **_pages(roles),
        **_single(roles),
    }


def _trivial() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchall()


def _lists(roles: Roles) -> Operations:
    """The API's lists: their first pages, and pages half a year back, to which a cursor points."""
    half_a_year = f"cursor={Place(timezone.now() - timedelta(days=180), UUID(int=0)).encoded()}"
    image = Image.objects.filter(status=Status.SUCCEEDED, department__slug="seed").first()
    queries = [
        *(("images", query) for query in IMAGE_FILTERS),
        ("images", f"search={image.filename}"),
        ("images", f"search={image.pk}"),
        ("images", f"search={image.patient.identifier}"),
        ("images", f"patient={image.patient.identifier}"),
        ("images", f"study={image.study_id}"),
        ("images", f"patient={image.patient.identifier}&group=positive&reviewed=false"),
        *(("studies", query) for query in STUDY_FILTERS),
        ("studies", f"search={image.study_id}"),
        ("studies", f"patient={image.patient.identifier}"),
        *(("patients", query) for query in PATIENT_FILTERS),
        ("patients", f"search={image.patient_id}"),
    ]
    lists = {}
    for role, client in roles:
        # These two see the most rows; for other roles some of the queries are enough.
        all_queries = role in ("administrator", "member of several")
        for kind, query in queries if all_queries else queries[::3]:
            lists[f"{role}: {kind} {query}"] = get(_joined(f"/api/v1/{kind}/", query), client)
        if role == "guest":
            continue  # a guest's rows are a day old at most
        deep_filters = IMAGE_FILTERS if all_queries else IMAGE_FILTERS[::6]
        for kind, query in (*(("images", query) for query in deep_filters), ("studies", ""), ("patients", "")):
            lists[f"{role}: {kind} {query}, deep"] = get(_joined(f"/api/v1/{kind}/", query, half_a_year), client)
    for role, client in (("administrator", roles.admin), ("member of several", roles.member)):
        for kind, query in (
            ("images", ""), ("images", "group=positive&reviewed=false"), ("images", "search=IM-01"),
            ("studies", ""), ("studies", "status=running"), ("patients", ""), ("patients", "search=PAT-"),
        ):  # fmt: skip
            url = _joined(f"/api/v1/{kind}/", "department=seed", query)
            lists[f"{role}: {kind} department=seed {query}"] = get(url, client)
    large = Study.objects.get(name="study 0")
    lists |= {
        f"a study of 5,000: images {query}": get(_joined(f"/api/v1/studies/{large.pk}/images/", query), roles.admin)
        for query in ("", "ordering=-probability", "group=positive&reviewed=false", "warning=end_missing", "search=IM-")
    }
    return lists


def _middle(rows: Any) -> str:
    """The parameter for the page that begins after the middle row."""
    rows = rows.order_by("-created_at", "-pk")
    return f"before={rows[min(rows.count() // 2, 100_000)].pk}"


def _pages(roles: Roles) -> Operations:
    pages = {}
    for role, client in roles:
        paths = ["/", "/images/", "/images/?group=unclear&reviewed=false", "/studies/", "/studies/?status=finished",
                 "/patients/", "/patients/?search=PAT-001"]  # fmt: skip
        if role != "guest":
            paths += ["/shared/", "/news/", "/failures/", "/departments/", "/notifications/"]
            paths += ["/worklist/"]
        pages |= {f"{role}: page {path}": get(path, client) for path in paths}
    entries = {"administrator": Entry.objects.all(), "manager": Entry.objects.exclude(department_id="")}
    for role, client in (("administrator", roles.admin), ("manager", roles.manager)):
        for query in AUDIT_FILTERS:
            pages[f"{role}: audit {query}"] = get(_joined("/audit/", query), client)
        url = f"/audit/?object_id={Entry.objects.exclude(object_id='')[0].object_id}"
        pages[f"{role}: audit of an image"] = get(url, client)
        pages[f"{role}: audit, deep"] = get(f"/audit/?{_middle(entries[role])}", client)
        pages[f"{role}: page of a department"] = get("/departments/seed/", client)
    unacknowledged = Image.objects.filter(status=Status.FAILED, acknowledgement=None)
    webhook = Webhook.objects.get(department__slug="seed")
    pages |= {
        "administrator: failures, deep": get(f"/failures/?{_middle(unacknowledged)}", roles.admin),
        "member of several: news, deep": get(f"/news/?{_middle(News.objects.filter(person__username='seed-0'))}",
                                             roles.member),
        "manager: deliveries of a webhook": get(f"/webhooks/{webhook.pk}/", roles.manager),
        "administrator: departments (API)": get("/api/v1/departments/", roles.admin),
        "manager: members of a department (API)": get("/api/v1/departments/seed/members/", roles.manager),
        "administrator: invitations": get("/accounts/invitations/", roles.admin),
        **{
            f"admin site: {path}": get(f"/admin/{path}", roles.admin)
            for path in (
                "studies/image/", "studies/image/?q=IM-0000123", "studies/image/?q=IM-01", "studies/study/",
                "studies/image/?status__exact=failed", "studies/patient/", "studies/reading/", "auth/user/",
                "auth/user/?q=seed-77", "outbox/delivery/", "outbox/delivery/?state__exact=dead",
            )
        },
    }  # fmt: skip
    return pages


def _single(roles: Roles) -> Operations:
    image = Image.objects.filter(status=Status.SUCCEEDED, department__slug="seed").first()
    large, unfinished = Study.objects.get(name="study 0"), Image.objects.filter(status=Status.READY).first().study
    paths = {
        "status of an image": f"/api/v1/images/{image.pk}/",
        "status of a study": f"/api/v1/studies/{image.study_id}/",
        "page of an image": f"/images/{image.pk}/",
        "page of a study": f"/studies/{image.study_id}/",
        "page of a patient": f"/patients/{image.patient_id}/",
    }
    large_paths = {
        "status of a study of 5,000": f"/api/v1/studies/{large.pk}/",
        "status of a study under way": f"/api/v1/studies/{unfinished.pk}/",
        "page 100 of a study of 5,000": f"/studies/{large.pk}/?page=100",
        "page 50 of a study of 5,000, by probability": f"/studies/{large.pk}/?ordering=-probability&page=50",
        "page of a study of 5,000, one group": f"/studies/{large.pk}/?group=positive",
    }
    members = {"administrator": roles.admin, "member of several": roles.member}
    return {
        **{f"{role}: {name}": get(path, client) for role, client in members.items() for name, path in paths.items()},
        **{f"administrator: {name}": get(path, roles.admin) for name, path in large_paths.items()},
    }
