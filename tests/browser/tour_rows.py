"""Rows that the tour shows as weeks of work: verdicts on hundreds of images, and a PACS' invented patients.

This runs in `manage.py shell`, with the settings of the service.
"""

import random
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from webapp.agreement import counting
from webapp.departments.models import Department
from webapp.dicom.models import Destination, Search
from webapp.dicom.models.searches import Progress
from webapp.studies.choices import (
    GROUP_BY_VERDICT,
    ReadingState,
    ResultGroup,
    ReviewStage,
    Status,
    Verdict,
)
from webapp.studies.models import Image, Reading

#: Numbers of images with each verdict, and the fraction of them that the model finds suspicious.
JUDGED = {Verdict.PNEUMONIA: (140, 0.9), Verdict.NORMAL: (150, 0.2)}
#: The thresholds of the groups, about those of the model.
GROUPS = {ResultGroup.POSITIVE: 0.86, ResultGroup.UNCLEAR: 0.23, ResultGroup.NEGATIVE: 0.0}
WEEKS = 12
PATIENTS = (("Aarav Thapa", "PED-1042", "2022-03-14"), ("Sita Gurung", "PED-0987", "2023-08-02"),
            ("Bikash Rai", "PED-1107", "2021-11-20"))  # fmt: skip


def create_read_images(department: Department, bundle: str) -> None:
    """Create images of the last weeks that readers have read; the model's scores are a little too high here."""
    draw, now = random.Random(7), timezone.now()
    for verdict, (number, suspicious) in JUDGED.items():
        for _ in range(number):
            score = draw.betavariate(9, 1.2) if draw.random() < suspicious else draw.betavariate(1.2, 9)
            group = (
                ResultGroup.POSITIVE
                if score >= 0.86
                else ResultGroup.UNCLEAR
                if score >= 0.23
                else ResultGroup.NEGATIVE
            )
            image = Image.objects.create(
                filename="chest.jpeg", size=1, department=department, dispatched_at=now, status=Status.SUCCEEDED,
                verdict=verdict, stage=ReviewStage.DONE, reviewed=True, group=GROUP_BY_VERDICT[verdict],
            )  # fmt: skip
            received: datetime = now - timedelta(days=draw.uniform(0, 7 * WEEKS))
            Image.objects.filter(pk=image.pk).update(created_at=received)
            Reading.objects.create(
                image=image, bundle=bundle, priority=image.priority, state=ReadingState.SUCCEEDED, dispatched_at=now,
                group=group, probability=score,
            )  # fmt: skip
    counting.count()


def search(department: Department) -> Search:
    """Create a search that a PACS has answered."""
    pacs = Destination.objects.create(department=department, name="Hospital PACS", host="192.0.2.10",
                                      called_ae="ARCHIVE", enabled=False)  # fmt: skip
    studies = [
        {"study_uid": f"2.25.{number}", "patient_name": name, "patient_id": identifier, "birth_date": born,
         "date": f"{timezone.localdate()}", "modalities": ["DX"], "description": "Chest PA",
         "accession_number": f"A{4711 + number}"}
        for number, (name, identifier, born) in enumerate(PATIENTS, 1)
    ]  # fmt: skip
    return Search.objects.create(
        department=department, destination=pacs, asked_by=User.objects.get(username="admin"), state=Progress.DONE,
        finished_at=timezone.now(), criteria={}, found=studies,
    )  # fmt: skip


def make(slug: str, bundle: str) -> str:
    """Create all rows for a department and a model bundle; return the search's URL."""
    department = Department.objects.get(slug=slug)
    create_read_images(department, bundle)
    return search(department).get_absolute_url()
