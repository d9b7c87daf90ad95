"""Rows as the service would have left them, and what the model finds."""

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

#: The model that counts, and the worker that reads with it.
BUNDLE, WORKER = "net-1.0.0", UUID(int=1)
MODEL = reading.Model(BUNDLE, 0.5, "balanced", {"balanced": 0.5, "screening": 0.2})
#: What make_image() hands on to the image's reading.
READING = ("claim", "worker", "claimed_at", "input", "ready_at", "bundle")


def make_reading(image: Image, **fields: Any) -> Reading:
    """A reading in any state, ready without one."""
    given = {"bundle": BUNDLE, "state": ReadingState.READY, "priority": image.priority, **fields}
    return Reading.objects.create(image=image, **{"dispatched_at": timezone.now(), **given})


def result(image_id: UUID, pneumonia: float = 0.9, **more: Any) -> reading.Result:
    """What the model that counts finds in an image."""
    named = {"NORMAL": 1 - pneumonia, "PNEUMONIA": pneumonia}
    label = "PNEUMONIA" if pneumonia >= MODEL.threshold else "NORMAL"
    return reading.Result(image_id, named, pneumonia, label, **more)


def claim(*images: Image, bundle: str = BUNDLE, worker: UUID = WORKER) -> tuple[UUID, list[Reading]]:
    """Claim images for a batch: its token, and what it holds."""
    token = uuid4()
    return token, reading.claim(token, worker, bundle, [getattr(image, "pk", image) for image in images])


def permission(model: type[Model], codename: str) -> Permission:
    """A permission, also after a transactional test has emptied the tables."""
    kind = ContentType.objects.get_for_model(model)
    return Permission.objects.get_or_create(content_type=kind, codename=codename)[0]


def administer() -> Permission:
    """What makes a user an administrator."""
    return permission(Department, "administer")


def radiologists() -> Group:
    """The group that a migration makes, also after a transactional test has emptied the tables."""
    group, _ = Group.objects.get_or_create(name="Radiologists")
    group.permissions.add(permission(Review, "add_review"))
    return group


def owned(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a row, owned by a new guest unless they name an owner."""
    named = any(fields.get(name) for name in ("owner", "owner_id", "guest", "department", "department_id"))
    return fields if named else {**fields, "guest": uuid4()}
