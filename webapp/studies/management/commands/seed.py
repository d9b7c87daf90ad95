"""Fill an empty database with made-up rows, to see how the service does with many; no files come with them.

A million rows by ``bulk_create`` would take ten times as long: here one prepared row is copied, only what differs is
prepared anew, and the indexes are made at the end.
"""

import random
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
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
from webapp.studies.choices import Priority, ReadingState, ResultGroup, Status
from webapp.studies.models import Image, Patient, Reading, Study

#: Shares of images by status; the rest has its result. Those that wait are the newest.
WAITING, FAILED, CANCELLED = 0.002, 0.02, 0.005
#: The shares of guests' studies, which are recent, of the department's, and of those of the busiest person.
GUESTS, DEPARTMENT, BUSIEST = 0.01, 0.2, 0.5
PERSONS = 20
LARGE_STUDY = 5000
SPAN = timedelta(days=365)
CHUNK = 5000


#: The operating points of the model that the made-up results are of.
BALANCED, SCREENING = 0.8598, 0.2311


class Command(BaseCommand):
    help = "Fill an empty database with made-up studies and images, without files. For tests and measurements only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--images", type=int, default=10_000)
        parser.add_argument("--studies", type=int, default=1_000)
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *args: Any, images: int, studies: int, seed: int, **options: Any) -> None:
        if settings.ENVIRONMENT == "production":
            raise CommandError("This is a production service: made-up patients do not belong here.")
        if Image.objects.exists() or Study.objects.exists():
            raise CommandError("The database has images already; give an empty one.")
        if studies < 1:
            raise CommandError("At least one study is needed.")
        with _without_indexes(Image, Study, Patient), connection.constraint_checks_disabled():
            Seeder(random.Random(seed)).fill(images, studies)
        with connection.cursor() as cursor:
            models: tuple[type[Model], ...] = (Image, Study, Patient, Reading)
            for model in models:
                table = connection.ops.quote_name(model._meta.db_table)
                cursor.execute(f"ANALYZE {'TABLE ' if connection.vendor == 'mysql' else ''}{table}")
        self.stdout.write(f"made {images} images in {studies} studies; user names are seed-0 to seed-{PERSONS - 1}")


class Owned(NamedTuple):
    """Fields of rows that belong to someone."""

    created_at: datetime
    owner: int | None = None
    guest: UUID | None = None
    department: UUID | None = None


class Table:
    """Inserts rows that differ from a template in some fields only."""

    def __init__(self, template: Model, *fields: str, omit: str = "") -> None:
        meta = template._meta
        columns = [field for field in meta.local_concrete_fields if field.name != omit]
        quote = connection.ops.quote_name
        names = ", ".join(quote(str(field.column)) for field in columns)
        self.sql = f"INSERT INTO {quote(meta.db_table)} ({names}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608
        self.values = [field.get_db_prep_save(field.value_from_object(template), connection) for field in columns]
        self.fields = [(columns.index(field), field) for field in map(meta.get_field, fields)]  # type: ignore[arg-type]

    def row(self, *values: Any) -> list[Any]:
        row = self.values.copy()
        for (place, field), value in zip(self.fields, values, strict=True):
            row[place] = field.get_db_prep_save(value, connection)  # type: ignore[union-attr]
        return row

    def insert(self, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.executemany(self.sql, rows)


class Seeder:
    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.now = timezone.now()

    def fill(self, images: int, studies: int) -> None:
        persons = [User(username=f"seed-{n}") for n in range(PERSONS)]
        self.persons = [person.pk for person in User.objects.bulk_create(persons)]
        department = Department.objects.create(name="Seed", slug="seed")
        self.department = department.pk
        # The busiest person is a member, and one who has less.
        members = [Membership(department=department, user_id=pk, role=Role.UPLOADER) for pk in self.persons[:2]]
        Membership.objects.bulk_create(members)
        self.studies = [self._study(index / studies) for index in range(studies)]
        patients = Table(Patient(), "id", *Owned._fields, "identifier")
        patients.insert([patients.row(pk, *owner, f"PAT-{n:07}") for n, (_, pk, owner) in enumerate(self.studies)])
        made = Table(Study(), "id", *Owned._fields, "patient", "name")
        made.insert(
            [made.row(pk, *owner, patient, f"study {n}") for n, (pk, patient, owner) in enumerate(self.studies)]
        )
        self.tables = {status: self._images(status) for status in Status}
        self.readings = {
            ReadingState.SUCCEEDED: self._readings(
                ReadingState.SUCCEEDED, "probability", "probabilities", "label", "group", "finished_at",
                claimed_at=self.now, threshold=BALANCED, operating_point="balanced", batch_size=16, seconds=1.0,
                operating_points={"balanced": BALANCED, "screening": SCREENING}, heatmap=self.draw.randbytes(196),
            ),
            ReadingState.READY: self._readings(ReadingState.READY),
        }  # fmt: skip
        for start in range(0, images, CHUNK):
            self._insert(range(start, min(start + CHUNK, images)), images)

    def _study(self, place: float) -> tuple[UUID, UUID, Owned]:
        """A study's id, its patient's, and whose they are since when; the later its place, from 0 to 1, the later."""
        if place > 1 - GUESTS:
            created = self.now - timedelta(hours=20) * ((1 - place) / GUESTS)
            return self._uuid(), self._uuid(), Owned(created, guest=self._uuid())
        created = self.now - timedelta(days=1) - SPAN * (1 - place)
        if self.draw.random() < DEPARTMENT:
            return self._uuid(), self._uuid(), Owned(created, department=self.department)
        person = 0 if self.draw.random() < BUSIEST else self.draw.randrange(PERSONS)
        return self._uuid(), self._uuid(), Owned(created, owner=self.persons[person])

    def _readings(self, state: ReadingState, *fields: str, **given: Any) -> Table:
        template = Reading(
            bundle="vgg16-pneumonia-1.2.0", state=state, priority=Priority.BULK, dispatched_at=self.now,
            ready_at=self.now, **given,
        )  # fmt: skip
        return Table(template, "image", "input", *fields, omit="id")

    def _images(self, status: Status) -> Table:
        final = status in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
        failed = status == Status.FAILED
        template = Image(
            status=status, size=300_000, sha256="0" * 64, width=1300, height=1000, priority=Priority.BULK,
            dispatched_at=self.now, ingest_started_at=self.now,
            error_code="image_truncated" if failed else "", error_detail="The file is cut off." if failed else "",
        )  # fmt: skip
        return Table(
            template, "id", *Owned._fields, "study", "patient", "filename", "file", "preview",
            *(["finished_at"] if final else []),
        )  # fmt: skip

    def _insert(self, indexes: Iterable[int], images: int) -> None:
        rows: dict[Status, list[list[Any]]] = {status: [] for status in Status}
        readings: dict[ReadingState, list[list[Any]]] = {state: [] for state in self.readings}
        for index in indexes:
            place = index / images
            # The first images belong to one large study, the others to studies in the order of time.
            study, patient, owned = self.studies[
                0 if index < min(LARGE_STUDY, images // 2) else int(place * len(self.studies))
            ]
            created = owned.created_at + timedelta(microseconds=index)
            status, pk = self._status(place), self._uuid()
            file = f"uploads/{pk.hex[:2]}/{pk}.jpg"
            table = self.tables[status]
            finished = (created,) * (len(table.fields) - 10)
            rows[status].append(
                table.row(pk, created, *owned[1:], study, patient, f"IM-{index:07}.jpeg", file, file, *finished)
            )
            made = f"inputs/{pk.hex[:2]}/{pk}.vgg16-pneumonia-1.2.0.png"
            if status == Status.READY:
                readings[ReadingState.READY].append(self.readings[ReadingState.READY].row(pk, made))
            elif status == Status.SUCCEEDED:
                readings[ReadingState.SUCCEEDED].append(self._result(pk, made, created))
        with transaction.atomic():
            for status, chunk in rows.items():
                self.tables[status].insert(chunk)
            for state, chunk in readings.items():
                self.readings[state].insert(chunk)

    def _result(self, pk: UUID, made: str, finished: datetime) -> list[Any]:
        probability = self.draw.random()
        label = "PNEUMONIA" if probability >= BALANCED else "NORMAL"
        group = ResultGroup.POSITIVE if probability >= BALANCED else ResultGroup.UNCLEAR
        if probability < SCREENING:
            group = ResultGroup.NEGATIVE
        return self.readings[ReadingState.SUCCEEDED].row(
            pk, made, probability, {"NORMAL": 1 - probability, "PNEUMONIA": probability}, label, group, finished
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


@contextmanager
def _without_indexes(*models: type[Model]) -> Iterator[None]:
    """Make the indexes of tables after their rows."""
    if connection.vendor == "mysql":
        yield  # an index can be the one that a foreign key needs
        return
    indexes = [(model, index) for model in models for index in model._meta.indexes]
    with connection.schema_editor() as editor:
        for model, index in indexes:
            editor.remove_index(model, index)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA cache_size=-400000")
    yield
    with connection.schema_editor() as editor:
        for model, index in indexes:
            editor.add_index(model, index)
