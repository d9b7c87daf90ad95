"""Rows as the service would have left them, and results of the model."""

from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.utils import timezone

from webapp.departments.models import Department
from webapp.reviews.models import Review
from webapp.studies.choices import ReadingState
from webapp.studies.models import Image, Reading
from webapp.studies.services import reading

#: The active model (not a shadow), and the worker that reads with it.
BUNDLE, WORKER = "net-1.0.0", UUID(int=1)
MODEL = reading.Model(BUNDLE, 0.5, "balanced", {"balanced": 0.5, "screening": 0.2})
#: Fields that make_image() passes on to the image's reading.
READING = ("claim", "worker", "claimed_at", "input", "ready_at", "bundle")


def make_reading(image: Image, **fields: Any) -> Reading:
    """Create a reading in any state, by default ready."""
    values = {"bundle": BUNDLE, "state": ReadingState.READY, "priority": image.priority, **fields}
    return Reading.objects.create(image=image, **{"dispatched_at": timezone.now(), **values})


def result(image_id: UUID, pneumonia: float = 0.9, **more: Any) -> reading.Result:
    """Result of the active model for an image."""
    probabilities = {"NORMAL": 1 - pneumonia, "PNEUMONIA": pneumonia}
    label = "PNEUMONIA" if pneumonia >= MODEL.threshold else "NORMAL"
    return reading.Result(image_id, probabilities, pneumonia, label, **more)


def claim(*images: Image, bundle: str = BUNDLE, worker: UUID = WORKER) -> tuple[UUID, list[Reading]]:
    """Claim images for a batch. Return the claim's token and the readings that it holds."""
    token = uuid4()
    return token, reading.claim(token, worker, bundle, [getattr(image, "pk", image) for image in images])


def permission(model: type[Model], codename: str) -> Permission:
    """Return a permission, even after a transactional test has emptied the tables."""
    content_type = ContentType.objects.get_for_model(model)
    return Permission.objects.get_or_create(content_type=content_type, codename=codename)[0]


def administer() -> Permission:
    """Return the permission that makes a user an administrator."""
    return permission(Department, "administer")


def radiologists() -> Group:
    """Return the group that a migration creates, even after a transactional test has emptied the tables."""
    group, _ = Group.objects.get_or_create(name="Radiologists")
    group.permissions.add(permission(Review, "add_review"))
    return group


def owned(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a row. A new guest owns it unless the fields name an owner."""
    has_owner = any(fields.get(name) for name in ("owner", "owner_id", "guest", "department", "department_id"))
    return fields if has_owner else {**fields, "guest": uuid4()}
