"""Fixtures: images that were received as DICOM files and have been read, and destinations."""

import io
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone
from pydicom import dcmread

from tests import synthetic
from tests.worker.results import pacs, source_files
from webapp.accounts.identity import Identity
from webapp.departments.models import Department, Membership
from webapp.dicom.models import Destination, Instance, Revision
from webapp.dicom.services import destinations
from webapp.studies.choices import ReadingState, Status
from webapp.studies.models import Image, Reading

BUNDLE = "vgg16-pneumonia-1.2.0"


@pytest.fixture
def department(db: None) -> Department:
    return Department.objects.create(name="Radiology", slug="radiology")


@pytest.fixture
def dicom_image(department: Department, upload: Callable[..., Image]) -> Callable[..., Image]:
    """Make an image of the department, received as a DICOM file, with its result. "group" is the model's."""

    def make(number: int = 1, group: str = "positive", content: bytes = b"", **fields: Any) -> Image:
        content = content or source_files.cr(number)
        data = dcmread(io.BytesIO(content))
        columns: dict[str, Any] = {
            "guest": None, "department": department, "filename": "IM1", "width": 64, "height": 64, "group": group,
            "sha256": sha256(content).hexdigest(), "instance_uid": data.SOPInstanceUID, "status": Status.SUCCEEDED,
            "finished_at": timezone.now(), **fields,
        }  # fmt: skip
        image = upload(content, **columns)
        preview = synthetic.xray_jpeg(size=(200, 201))
        image.preview = default_storage.save(f"previews/{image.pk}.jpg", ContentFile(preview))
        image.save()
        Instance.objects.create(
            image=image, study_uid=data.StudyInstanceUID, series_uid=data.SeriesInstanceUID,
            instance_uid=data.SOPInstanceUID, class_uid=data.SOPClassUID, transfer_syntax="1.2.840.10008.1.2.1",
        )  # fmt: skip
        Reading.objects.create(
            image=image, bundle=BUNDLE, priority=image.priority, state=ReadingState.SUCCEEDED, probability=0.93123,
            threshold=0.4567, operating_point="balanced", operating_points={"balanced": 0.4567, "screening": 0.2},
            group=group, label="PNEUMONIA", heatmap=bytes(range(196)), dispatched_at=timezone.now(),
        )  # fmt: skip
        return image

    return make


@pytest.fixture
def make_revision() -> Callable[..., Revision]:
    """Write a revision of an image's result."""

    def write(image: Image, number: int = 1, **fields: Any) -> Revision:
        defaults: dict[str, Any] = {
            "bundle": BUNDLE, "probability": 0.93123, "threshold": 0.4567, "operating_point": "balanced",
            "group": "positive",
        }  # fmt: skip
        return Revision.objects.create(image=image, number=number, **{**defaults, **fields})

    return write


# --- destinations ---------------------------------------------------------------------------------------------------


@pytest.fixture
def archive() -> Iterator[pacs.Pacs]:
    with pacs.running() as running:
        yield running


@pytest.fixture
def destination(department: Department) -> Callable[..., Destination]:
    """Add a destination of the department."""

    def add(port: int, **values: Any) -> Destination:
        values = {"name": "PACS", "host": "127.0.0.1", "port": port, "called_ae": "PACS", **values}
        return destinations.create(Identity(), department, **values)

    return add


@pytest.fixture
def reader(department: Department, owner: User) -> Identity:
    Membership.objects.create(department=department, user=owner, role="manager")
    return Identity(user=owner)
