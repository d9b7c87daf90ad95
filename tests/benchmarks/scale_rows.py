"""Rows that belong to images and studies, and that ``manage.py seed`` does not write: audit entries, reviews, news,
shares, saved views, webhooks with their deliveries, ZIPs, and acknowledged failures.
"""

import random
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from tests.benchmarks import scale_reading
from webapp.accounts.models import Invitation
from webapp.audit.models import Action, Entry
from webapp.departments.models import Department, Membership, Role
from webapp.notifications.models import Event, News, Webhook
from webapp.searches.models import List, SavedSearch
from webapp.sharing.models import Share
from webapp.studies.management.bulk import Table, without_indexes
from webapp.studies.models import Archive, Image, Study
from webapp.studies.outbox.models import Delivery, State

#: A manager of the largest department and of two others, and an administrator.
MANAGER, ADMINISTRATOR = "bench-manager", "bench"
#: Actions in the audit, with their relative frequencies.
ACTIONS = {
    Action.VIEW: 6000, Action.LIST: 2000, Action.DOWNLOAD: 1500, Action.CREATE: 300, Action.SIGN_IN: 150,
    Action.CHANGE: 40, Action.DELETE: 8, Action.ROLE_CHANGE: 1,
}  # fmt: skip
CHUNK = 5000


def fill(draw: random.Random) -> None:
    """Add rows to a database that the seed has filled."""
    images = Image.objects.count()
    people = list(User.objects.filter(username__startswith="seed-").order_by("pk"))
    departments = list(Department.objects.order_by("created_at", "slug"))
    largest = Department.objects.get(slug="seed")
    studies = list(Study.objects.filter(guest=None).order_by("created_at").values_list("pk", flat=True))
    User.objects.create_superuser(ADMINISTRATOR)
    manager = User.objects.create_user(MANAGER)
    managed = {largest, *departments[:3]}
    Membership.objects.bulk_create(
        Membership(user=manager, department=department, role=Role.MANAGER) for department in managed
    )
    audit(draw, images, people, departments, largest)
    _verdicts(people[0])
    # Some news and shares are about images instead of studies; without any, SQLite would not use the indexes on images.
    image_ids = list(Image.objects.order_by("pk").values_list("pk", flat=True)[: 5 * CHUNK])
    _news(draw, people, studies, image_ids)
    _shares(draw, people, studies, image_ids, images // 20)
    _saved_views(people, departments)
    _outbox(largest, images // 5)
    archive = Table(
        Archive(total=10, dispatched_at=timezone.now(), created_at=timezone.now()),
        "id", "study", "filename", "state", "finished_at",
    )  # fmt: skip
    states = (Archive.State.FAILED if n % 100 == 0 else Archive.State.UNPACKED for n in range(len(studies) // 5))
    archive.insert(
        [
            archive.row(uuid4(), draw.choice(studies), f"{n}.zip", state, timezone.now())
            for n, state in enumerate(states)
        ]
    )
    end = timezone.now() + timedelta(days=7)
    Invitation.objects.bulk_create(
        Invitation(digest=str(n), email=f"{n}@example.org", department_id=draw.choice(departments).pk, expires_at=end)
        for n in range(len(people) // 4)
    )
    scale_reading.fill(draw)


def _insert(table: Table, rows: Any) -> None:
    chunk = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            table.insert(chunk)
            chunk.clear()
    table.insert(chunk)


def audit(draw: random.Random, number: int, people: Any, departments: Any, largest: Department) -> None:
    """Add `number` entries over a year, many of them by the first person and in the largest department."""
    entries = Table(
        Entry(kind="studies.image", hash="0" * 64, address="127.0.0.1"),
        "created_at", "action", "person_id", "person", "object_id", "department_id", "position",
        omit="id",
    )  # fmt: skip
    start, step = timezone.now() - timedelta(days=365), timedelta(days=364) / number
    objects = [str(pk) for pk in Image.objects.order_by("pk").values_list("pk", flat=True)[: 5 * CHUNK]]
    actions = draw.choices(list(ACTIONS), list(ACTIONS.values()), k=number)

    def row(n: int) -> list[Any]:
        person = people[0] if draw.random() < 0.1 else draw.choice(people)
        department = largest if draw.random() < 0.3 else draw.choice(departments)
        owner = str(department.pk) if draw.random() < 0.6 else ""
        created_at = start + n * step
        return entries.row(created_at, actions[n], person.pk, person.username, draw.choice(objects), owner, n + 1)

    with without_indexes(Entry):
        _insert(entries, (row(n) for n in range(number)))


def _verdicts(reader: User) -> None:
    """Add a review of each reviewed image, and acknowledge all failures but a few."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO reviews_review (image_id, reviewer_id, verdict, comment, created_at, updated_at)"
            " SELECT id, %s, verdict, '', finished_at, finished_at FROM studies_image WHERE reviewed",
            [reader.pk],
        )
        cursor.execute(
            "INSERT INTO notifications_acknowledgement (image_id, by_id, at) SELECT id, %s, finished_at"
            " FROM studies_image WHERE status = 'failed' AND filename NOT LIKE %s",
            [reader.pk, "%07.jpeg"],
        )


def _news(draw: random.Random, people: Any, studies: Any, images: Any) -> None:
    columns = ("person", "key", "event", "study", "image", "created_at", "read_at")
    table = Table(News(), *columns, omit="id")
    now = timezone.now()

    def row(person: User, n: int) -> list[Any]:
        created_at = now - timedelta(minutes=n + 1)
        subject = (
            (Event.FAILED, None, draw.choice(images)) if n % 2 else (Event.STUDY_FINISHED, draw.choice(studies), None)
        )
        return table.row(person.pk, f"bench:{n}", *subject, created_at, created_at if n > 200 else None)

    count = min(len(studies), 20_000)
    _insert(table, (row(person, n) for person in people for n in range(count if person == people[0] else 50)))


def _shares(draw: random.Random, people: Any, studies: Any, images: Any, number: int) -> None:
    table = Table(Share(created_at=timezone.now()), "id", "study", "image", "user", "created_by")
    targets = [(study, None) for study in draw.sample(studies, min(number // 2, len(studies)))]
    targets += [(None, image) for image in images[: number // 2]]
    # Every tenth share is for the same person.
    users = [people[0] if n % 10 == 0 else draw.choice(people[1:]) for n in range(len(targets))]
    _insert(
        table, (table.row(uuid4(), *target, user.pk, people[1].pk) for target, user in zip(targets, users, strict=True))
    )


def _saved_views(people: Any, departments: Any) -> None:
    query = "group=positive&reviewed=false"
    owners = [{"user": person} for person in people] + [{"department": department} for department in departments]
    SavedSearch.objects.bulk_create(
        [
            SavedSearch(list=kind, name=f"view {n}", query=query, **owner)
            for n in range(50)
            for kind in List
            for owner in (owners if n < 5 else [owners[0], {"department": departments[0]}])
        ],
        batch_size=1000,
    )


def _outbox(largest: Department, number: int) -> None:
    webhook = Webhook.objects.create(department=largest, url="https://example.org/hook", sealed_secret="none")
    now = timezone.now()
    table = Table(
        Delivery(kind="webhook", destination=str(webhook.pk), expires_at=now),
        "id", "key", "subject", "state", "created_at", "next_attempt_at", "delivered_at",
    )  # fmt: skip

    def row(n: int) -> list[Any]:
        created_at = now - timedelta(seconds=10 * n)
        state = State.DEAD if n % 2000 == 0 else State.DELIVERED
        return table.row(uuid4(), f"bench:{n}", uuid4(), state, created_at, created_at, created_at)

    _insert(table, (row(n) for n in range(number)))
