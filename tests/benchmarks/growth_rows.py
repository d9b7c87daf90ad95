"""Rows for :mod:`tests.benchmarks.growth`: images that wait to be read, and images that have been read."""

import hashlib
import io
from contextlib import nullcontext
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone
from PIL import Image as Picture

from ml.bundles.bundle import Bundle
from ml.pictures import xray
from ml.pictures.preprocess import to_input
from tests import synthetic
from webapp.departments.models import Department
from webapp.studies.choices import Priority, ReadingState, ResultGroup, Status
from webapp.studies.management.bulk import Table, without_indexes
from webapp.studies.models import Image, Reading, Study

#: Departments whose images take turns, and images of a study.
DEPARTMENTS, IN_STUDY = 8, 200
CHUNK = 5000
#: Up to this number, rows are added without dropping the indexes.
KEEP_INDEXES = 20_000


class Rows:
    """Fills a database in which all images share one stored input."""

    def __init__(self, bundle: Bundle) -> None:
        content = io.BytesIO()
        pixels = to_input(xray.load(synthetic.xray_jpeg(1)), bundle.preprocessing)
        Picture.fromarray(pixels).save(content, "PNG")
        name = default_storage.save("inputs/growth.png", ContentFile(content.getvalue()))
        departments = Department.objects.bulk_create(
            Department(name=f"Growth {n}", slug=f"growth-{n}") for n in range(DEPARTMENTS)
        )
        self.departments = [department.pk for department in departments]
        self.now = timezone.now()
        self.numbers = count()
        self.image = {
            "size": 300_000, "sha256": "0" * 64, "width": 1300, "height": 1000, "dispatched_at": self.now,
            "ingest_started_at": self.now, "priority": Priority.BULK, "file": name, "preview": name,
        }  # fmt: skip
        self.reading = {
            "bundle": bundle.id, "priority": Priority.BULK, "input": name, "dispatched_at": self.now,
            "input_sha256": hashlib.sha256(content.getvalue()).hexdigest(), "ready_at": self.now,
        }  # fmt: skip

    def add_waiting(self, number: int) -> None:
        """Add images of studies of all departments that wait to be read, in turns."""
        self._add(number, {"status": Status.READY}, {"state": ReadingState.READY})

    def add_read(self, number: int) -> None:
        """Add images that have a result."""
        result = {"label": "NORMAL", "probability": 0.05, "group": ResultGroup.NEGATIVE, "finished_at": self.now}
        reading = {
            "operating_point": "balanced", "threshold": 0.86, "probabilities": {"NORMAL": 0.95, "PNEUMONIA": 0.05},
            "operating_points": {"balanced": 0.86, "screening": 0.23}, "heatmap": bytes(196), "batch_size": 16,
            "claimed_at": self.now, "seconds": 1.0,
        }  # fmt: skip
        self._add(
            number, {"status": Status.SUCCEEDED, **result}, {"state": ReadingState.SUCCEEDED, **result, **reading}
        )

    def _add(self, number: int, image: dict[str, Any], reading: dict[str, Any]) -> None:
        # The departments' studies take turns.
        rounds = -(-number // (IN_STUDY * DEPARTMENTS))
        studies = [Study(department_id=pk, name="growth") for _ in range(rounds) for pk in self.departments]
        Study.objects.bulk_create(studies, batch_size=CHUNK)
        images = Table(Image(**self.image, **image), "id", "created_at", "department", "study", "filename")
        readings = Table(Reading(**self.reading, **reading), "image", "turn", omit="id")
        # While workers run, indexes cannot be dropped.
        with without_indexes(Image, Reading) if number > KEEP_INDEXES else nullcontext():
            for start in range(0, number, CHUNK):
                chunk = [
                    self._new(studies[n // (IN_STUDY * DEPARTMENTS) * DEPARTMENTS + n % DEPARTMENTS])
                    for n in range(start, min(start + CHUNK, number))
                ]
                images.insert([images.row(*values) for _, *values in chunk])
                readings.insert([readings.row(pk, turn) for turn, pk, *_ in chunk])
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    def _new(self, study: Study) -> tuple[float, UUID, datetime, UUID | None, UUID, str]:
        """A turn, and the values of an image."""
        number = next(self.numbers)
        return number, uuid4(), timezone.now(), study.department_id, study.pk, f"IM-{number:07}.jpeg"
