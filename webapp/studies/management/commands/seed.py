"""Fill an empty database with made-up rows without files, to see how the service performs with many rows.

A million rows by ``bulk_create`` would take ten times as long. Here one prepared row is copied, only the values that
differ are prepared again, and the indexes are created at the end.
"""

import random
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from webapp.departments.models import Department, Membership, Role
from webapp.studies.choices import (
    FINAL,
    GROUP_BY_VERDICT,
    Priority,
    ReadingState,
    ResultGroup,
    ReviewStage,
    Status,
    WarningCode,
)
from webapp.studies.management.bulk import Table, without_indexes
from webapp.studies.models import Image, Patient, Reading, Study

#: Shares of images by status. The rest have a result. Waiting images are the newest.
WAITING, FAILED, CANCELLED = 0.002, 0.02, 0.005
#: Shares of all studies that belong to guests (these are recent), and of the others that belong to departments. Then
#: the largest department's share of the departments' studies, and the busiest person's share of the people's studies.
GUESTS, DEPARTMENTS, LARGEST, BUSIEST = 0.01, 0.4, 0.4, 0.5
#: Shares of interactive images, and of results that are unusable, have a warning, are reviewed, and are STAT.
INTERACTIVE, UNUSABLE, WARNED, REVIEWED, STAT = 0.1, 0.01, 0.03, 0.3, 0.001
LARGE_STUDY = 5000
NAMES = ("Adams", "Bauer", "Costa", "Diaz", "Evans", "Fischer", "Garcia", "Haas", "Ito", "Jansen", "Khan", "Lopez")
SPAN = timedelta(days=365)
CHUNK = 5000


#: The operating points of the model that the made-up results claim to come from.
BALANCED, SCREENING = 0.8598, 0.2311
#: The columns of an image that repeat its result or its verdict.
RESULT = ("group", "label", "probability", "warning_codes", "reviewed", "stage", "verdict", "stat")
VERDICTS = {group: verdict.value for verdict, group in GROUP_BY_VERDICT.items()}


class Command(BaseCommand):
    help = "Fill an empty database with made-up studies and images, without files. For tests and measurements only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--images", type=int, default=10_000)
        parser.add_argument("--studies", type=int, default=1_000)
        parser.add_argument("--people", type=int, default=20)
        parser.add_argument("--departments", type=int, default=1)
        parser.add_argument("--seed", type=int, default=1)

    def handle(
        self, *args: Any, images: int, studies: int, people: int, departments: int, seed: int, **options: Any
    ) -> None:
        if settings.ENVIRONMENT == "production":
            raise CommandError("This is a production service: made-up patients do not belong here.")
        if Image.objects.exists() or Study.objects.exists():
            raise CommandError("The database has images already; give an empty one.")
        if studies < 1 or people < 3 or departments < 1:
            raise CommandError("At least one study, three people and a department are needed.")
        with without_indexes(Image, Study, Patient), connection.constraint_checks_disabled():
            Seeder(random.Random(seed), people, departments).fill(images, studies)
        with connection.cursor() as cursor:
            models: tuple[type[Model], ...] = (Image, Study, Patient, Reading)
            for model in models:
                table = connection.ops.quote_name(model._meta.db_table)
                cursor.execute(f"ANALYZE {'TABLE ' if connection.vendor == 'mysql' else ''}{table}")
        self.stdout.write(f"made {images} images in {studies} studies; user names are seed-0 to seed-{people - 1}")


class Owned(NamedTuple):
    """The time of creation and the owner of a row."""

    created_at: datetime
    owner: int | None = None
    guest: UUID | None = None
    department: UUID | None = None


class Result(NamedTuple):
    """A random result."""

    group: ResultGroup
    label: str
    probability: float
    code: str


class Seeder:
    def __init__(self, draw: random.Random, people: int, departments: int) -> None:
        self.draw = draw
        self.now = timezone.now()
        users = User.objects.bulk_create(User(username=f"seed-{n}") for n in range(people))
        self.persons = [person.pk for person in users]
        names = ["seed", *(f"seed-{n}" for n in range(1, departments))]
        rows = Department.objects.bulk_create(Department(name=name.title(), slug=name) for name in names)
        self.departments = [department.pk for department in rows]
        # The busiest person is a member of several departments, including the largest. The third person is in none.
        memberships = [(0, place) for place in range(min(3, departments))] + [(1, 0)]
        memberships += [(n, n % departments) for n in range(3, people)]
        members = (
            Membership(user_id=self.persons[n], department_id=self.departments[place], role=Role.UPLOADER)
            for n, place in memberships
        )
        Membership.objects.bulk_create(members)

    def fill(self, images: int, studies: int) -> None:
        self.studies = [self._study(index / studies) for index in range(studies)]
        patients = Table(Patient(), "id", *Owned._fields, "identifier", "name")
        patients.insert(
            [
                patients.row(pk, *owner, f"PAT-{n:07}", f"{self.draw.choice(NAMES)} {n % 1000}")
                for n, (_, pk, owner) in enumerate(self.studies)
            ]
        )
        study_rows = Table(Study(), "id", *Owned._fields, "patient", "name")
        study_rows.insert(
            [study_rows.row(pk, *owner, patient, f"study {n}") for n, (pk, patient, owner) in enumerate(self.studies)]
        )
        self.tables = {status: self._images(status) for status in Status}
        self.readings = {
            ReadingState.SUCCEEDED: self._readings(
                ReadingState.SUCCEEDED, "probability", "probabilities", "label", "group", "warnings", "finished_at",
                claimed_at=self.now, threshold=BALANCED, operating_point="balanced", batch_size=16, seconds=1.0,
                operating_points={"balanced": BALANCED, "screening": SCREENING}, heatmap=self.draw.randbytes(196),
            ),
            ReadingState.READY: self._readings(ReadingState.READY, "turn"),
        }  # fmt: skip
        for start in range(0, images, CHUNK):
            self._insert(range(start, min(start + CHUNK, images)), images)

    def _study(self, place: float) -> tuple[UUID, UUID, Owned]:
        """Return a study's id, its patient's id, and their owner and time of creation.

        Args:
            place: the study's place in the order of time, from 0 for the oldest to 1.
        """
        if place > 1 - GUESTS:
            created = self.now - timedelta(hours=20) * ((1 - place) / GUESTS)
            return self._uuid(), self._uuid(), Owned(created, guest=self._uuid())
        created = self.now - timedelta(days=1) - SPAN * (1 - place)
        if self.draw.random() < DEPARTMENTS:
            department = self._one_of(self.departments, LARGEST)
            return self._uuid(), self._uuid(), Owned(created, department=department)
        return self._uuid(), self._uuid(), Owned(created, owner=self._one_of(self.persons, BUSIEST))

    def _one_of(self, ids: list[Any], first: float) -> Any:
        """Return a random id; ``first`` is the extra share of the first one."""
        return ids[0] if self.draw.random() < first else self.draw.choice(ids)

    def _readings(self, state: ReadingState, *fields: str, **values: Any) -> Table:
        template = Reading(
            bundle="vgg16-pneumonia-1.2.0", state=state, priority=Priority.BULK, dispatched_at=self.now,
            ready_at=self.now, **values,
        )  # fmt: skip
        return Table(template, "image", "input", *fields, omit="id")

    def _images(self, status: Status) -> Table:
        final = status in FINAL
        failed = status == Status.FAILED
        template = Image(
            status=status, size=300_000, sha256="0" * 64, width=1300, height=1000, dispatched_at=self.now,
            ingest_started_at=self.now,
            error_code="image_truncated" if failed else "", error_detail="The file is cut off." if failed else "",
        )  # fmt: skip
        return Table(
            template, "id", *Owned._fields, "study", "patient", "filename", "file", "preview", "priority",
            *(["finished_at"] if final else []),
            *(RESULT if status == Status.SUCCEEDED else []),
        )  # fmt: skip

    def _insert(self, indexes: Iterable[int], images: int) -> None:
        rows: dict[Status, list[list[Any]]] = {status: [] for status in Status}
        readings: dict[ReadingState, list[list[Any]]] = {state: [] for state in self.readings}
        for index in indexes:
            place = index / images
            # The first images belong to one large study, the others to studies in order of time.
            study, patient, owned = self.studies[
                0 if index < min(LARGE_STUDY, images // 2) else int(place * len(self.studies))
            ]
            created = owned.created_at + timedelta(microseconds=index)
            status, pk = self._status(place), self._uuid()
            file = f"uploads/{pk.hex[:2]}/{pk}.jpg"
            table = self.tables[status]
            priority = Priority.INTERACTIVE if self.draw.random() < INTERACTIVE else Priority.BULK
            row = [pk, created, *owned[1:], study, patient, f"IM-{index:07}.jpeg", file, file, priority]
            input_file = f"inputs/{pk.hex[:2]}/{pk}.vgg16-pneumonia-1.2.0.png"
            if status == Status.READY:
                readings[ReadingState.READY].append(self.readings[ReadingState.READY].row(pk, input_file, index))
            elif status == Status.SUCCEEDED:
                result = self._result()
                readings[ReadingState.SUCCEEDED].append(self._reading(pk, input_file, created, result))
                shown = ("", None) if result.group == ResultGroup.UNUSABLE else (result.label, result.probability)
                code = f" {result.code} " if result.code else ""
                reviewed = self.draw.random() < REVIEWED
                review = (ReviewStage.DONE, VERDICTS[result.group]) if reviewed else (ReviewStage.UNREAD, "")
                row += [created, result.group, *shown, code, reviewed, *review, self.draw.random() < STAT]
            elif status in FINAL:
                row.append(created)
            rows[status].append(table.row(*row))
        with transaction.atomic():
            for status, chunk in rows.items():
                self.tables[status].insert(chunk)
            for state, chunk in readings.items():
                self.readings[state].insert(chunk)

    def _result(self) -> Result:
        drawn, probability = self.draw.random(), self.draw.random()
        label = "PNEUMONIA" if probability >= BALANCED else "NORMAL"
        if drawn < UNUSABLE:
            return Result(ResultGroup.UNUSABLE, label, probability, WarningCode.NOT_CHEST_XRAY)
        group = ResultGroup.POSITIVE if probability >= BALANCED else ResultGroup.UNCLEAR
        if probability < SCREENING:
            group = ResultGroup.NEGATIVE
        code = self.draw.choice((WarningCode.BORDERS_REMOVED, WarningCode.END_MISSING)) if drawn < WARNED else ""
        return Result(group, label, probability, code)

    def _reading(self, pk: UUID, input_file: str, finished: datetime, result: Result) -> list[Any]:
        probabilities = {"NORMAL": 1 - result.probability, "PNEUMONIA": result.probability}
        warnings = [{"code": result.code, "detail": "It is made up."}] if result.code else []
        return self.readings[ReadingState.SUCCEEDED].row(
            pk, input_file, result.probability, probabilities, result.label, result.group, warnings, finished
        )

    def _status(self, place: float) -> Status:
        if place >= 1 - WAITING:
            return Status.READY
        drawn = self.draw.random()
        if drawn < FAILED:
            return Status.FAILED
        return Status.CANCELLED if drawn < FAILED + CANCELLED else Status.SUCCEEDED

    def _uuid(self) -> UUID:
        return UUID(int=self.draw.getrandbits(128), version=4)
