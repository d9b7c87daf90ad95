"""Data of a small clinic, with rows in every table: `python -m tests.moving.clinic make|dump`."""

import hashlib
import json
import os
import random
import sys
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")


def make() -> None:
    """Fill the configured database and storage."""
    from django.contrib.auth.models import Group, User
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.files.base import ContentFile
    from django.core.files.storage import default_storage
    from django.utils import timezone

    from webapp.accounts import tokens
    from webapp.departments.models import Department
    from webapp.dicom.models import Instance
    from webapp.ops.models import Worker
    from webapp.reviews.models import Review
    from webapp.studies.choices import Status
    from webapp.studies.models import Archive, Image, Patient, Reading, Study

    draw = random.Random(7)
    now = timezone.now().replace(microsecond=123457)
    users = [User.objects.create_user(name, password="x" * 12) for name in ("ada", "Ada", "Zoë-医者")]
    User.objects.create_superuser("admin", password="an admin's own")
    users[0].groups.add(Group.objects.get(name="Radiologists"))
    tokens.issue(users[0], "scanner")
    department = Department.objects.create(name="Radiology", slug="radiology", retention_days=30)
    department.memberships.create(user=users[1], role="uploader")
    Patient.objects.create(department=department, identifier="Müller-😀-1")
    session = SessionStore()
    session["seen"] = "ünïcode"
    session.save()
    Worker.objects.create(name="infer@old", role="infer", seen_at=now)
    patient = Patient.objects.create(owner=users[0], identifier="Müller-😀-1")
    Patient.objects.create(owner=users[0], identifier="müller-😀-1")  # another patient: the case of a letter differs
    study = Study.objects.create(owner=users[0], patient=patient, name="ward 3 'night'")
    for state in (Archive.State.QUEUED, Archive.State.UNPACKED):
        archive = Archive(study=study, filename="a.zip", total=3, state=state, dispatched_at=now)
        archive.file = f"archives/{archive.pk}.zip"
        if state == Archive.State.QUEUED:
            default_storage.save(archive.file.name, ContentFile(b"PK\x03\x04" + draw.randbytes(900)))
        archive.save(force_insert=True)
    for number in range(603):  # more than one chunk of the transfer
        content = draw.randbytes(300)
        image = Image(
            owner=users[number % 3], study=study if number % 2 else None, patient=patient, filename=f"{number}.jpeg",
            size=len(content), status=list(Status)[number % 6], dispatched_at=now - timedelta(microseconds=number),
        )  # fmt: skip
        if image.status not in (Status.QUEUED, Status.CANCELLED):
            image.sha256 = hashlib.sha256(content).hexdigest()
            image.preview = f"uploads/{image.pk.hex[:2]}/{image.pk}.jpg"
        image.file = default_storage.save(f"uploads/{image.pk.hex[:2]}/{image.pk}.jpg", ContentFile(content))
        image.save(force_insert=True)
        if number < 3:
            uids = {"study_uid": "1.2", "series_uid": "1.3", "instance_uid": f"1.2.3.{number}", "class_uid": "1.2.840"}
            Instance.objects.create(image=image, **uids, transfer_syntax="1.2.840.10008.1.2", modality="CR")
        if image.sha256:
            row = Reading(image=image, bundle="net-1.0.0", state=image.status, priority="bulk", dispatched_at=now)
            row.input = default_storage.save(f"inputs/{image.pk.hex[:2]}/{image.pk}.png", ContentFile(content[::-1]))
            row.input_sha256 = hashlib.sha256(content[::-1]).hexdigest()
            row.save()
        if image.status == Status.SUCCEEDED:
            Reading.objects.filter(pk=row.pk).update(
                probabilities={"NORMAL": draw.random()}, probability=draw.random() ** 40, threshold=0.3, label="NORMAL",
                group="negative", warnings=[{"code": "x", "detail": 'says "ö"'}] * (number % 2), batch_size=16,
                seconds=draw.random(), heatmap=draw.randbytes(196), operating_points={"balanced": 0.3},
            )  # fmt: skip
            Review.objects.create(image=image, reviewer=users[0], verdict="UNSURE", comment="  spaces stay ")


def dump() -> None:
    """Print every row and the checksum of every file."""
    from django.core.files.storage import default_storage

    from webapp.transfer import rows
    from webapp.transfer.files import digest_of, named_files

    source = rows.database_source("default")
    content: dict[str, object] = {
        rows.label(model): sorted(rows.to_text(row) for chunk in source(model) for row in chunk)
        for model in rows.all_models()
    }
    content["files"] = sorted(
        f"{digest_of(default_storage.open(one.name))[0]}  {one.name}" for chunk in named_files(source) for one in chunk
    )
    print(json.dumps(content))


if __name__ == "__main__":
    django.setup()
    {"make": make, "dump": dump}[sys.argv[1]]()
