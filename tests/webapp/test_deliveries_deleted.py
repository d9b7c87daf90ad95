"""No delivery in the outbox names a deleted image or study, however it was deleted."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from webapp.accounts.identity import Identity
from webapp.departments.models import Department
from webapp.notifications import services
from webapp.notifications.models import Channel, Event, Mailbox
from webapp.retention.services import purge
from webapp.studies.choices import Status
from webapp.studies.models import Image, Patient, Study
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.services import completion, deletion, department_deletion, person_deletion
from worker.deliver import delivering

pytestmark = pytest.mark.django_db


class Sent:
    """A study with a failed image and an image with signs of pneumonia, and a third image without a study."""

    def __init__(self, make_study: Any, make_image: Any, read: Any, **owner: Any) -> None:
        self.owner = owner
        self.patient = Patient.objects.create(**owner, identifier="P-1")
        self.study: Study = make_study(Status.READY, Status.FAILED, **owner)
        Study.objects.filter(pk=self.study.pk).update(patient=self.patient)
        read(self.study.images.get(status=Status.READY), pneumonia=0.95)
        self.image: Image = make_image(Status.QUEUED, patient=self.patient, **owner)
        with transaction.atomic():
            completion.finish(Image.objects.filter(pk=self.image.pk), Status.FAILED, "internal_error", "no")

    def names(self) -> set[str]:
        """Return the ids of everything that is deleted with the patient."""
        return {
            str(self.study.pk),
            str(self.image.pk),
            *(str(pk) for pk in self.study.images.values_list("pk", flat=True)),
        }


@pytest.fixture
def sent(user: User, make_department: Any, make_study: Any, make_image: Any, read: Any, settings: Any) -> Any:
    """Create a study and images of an owner, whose events have become deliveries in every state."""
    settings.EMAIL_URL = "smtp://mail.example"
    User.objects.filter(pk=user.pk).update(email="ada@hospital.example")
    everything = {(event, channel) for event in Event for channel in Channel}

    def make(kind: str) -> Sent:
        department: Department | None = None
        if kind == "department":
            department = make_department("alpha", manager=user)
            Mailbox.objects.create(department=department, address="ward@hospital.example")
            services.choose(
                Identity(user=user), everything, "en", department=department, address="ward@hospital.example"
            )
        services.choose(Identity(user=user), everything, "en")
        owner = {"guest": uuid4()} if kind == "guest" else {"department": department} if department else {"owner": user}
        services.create_webhook(Identity(user=user), "https://receiver.invalid/hook", list(Event), department)
        uploaded = Sent(make_study, make_image, read, **owner)
        for delivery in Delivery.objects.filter(kind__in=[*Event]):
            Delivery.objects.filter(pk=delivery.pk).update(state=State.SENDING)
            assert delivering.deliver(delivery) == "delivered"
        for number, delivery in enumerate(Delivery.objects.all()):
            Delivery.objects.filter(pk=delivery.pk).update(state=State.values[number % 4])
        return uploaded

    return make


def deliveries_naming(names: set[str]) -> list[Delivery]:
    return [
        row for row in Delivery.objects.all() if any(name in f"{row.key} {row.payload} {row.subject}" for name in names)
    ]


def delete_study(sent: Sent) -> None:
    deletion.delete_study(sent.study)
    deletion.delete_image(sent.image)


def delete_images(sent: Sent) -> None:
    for image in Image.objects.all():
        deletion.delete_image(image)
    deletion.delete_study(sent.study)


def purge_expired(sent: Sent) -> None:
    for model in (Study, Image, Patient):
        model.objects.update(created_at=timezone.now() - timedelta(days=400))
    purge()


#: Each way to delete images and studies, with the kind of their owner.
WAYS: dict[str, tuple[str, Callable[[Sent], Any]]] = {
    "images": ("person", delete_images),
    "study": ("person", delete_study),
    "patient": ("person", lambda sent: deletion.delete_patient(sent.patient)),
    "guest": ("guest", lambda sent: deletion.delete_guest(sent.owner["guest"])),
    "person": ("person", lambda sent: person_deletion.delete_person(sent.owner["owner"], Identity())),
    "department": (
        "department", lambda sent: department_deletion.delete_department(sent.owner["department"], Identity()),
    ),
    "purge": ("person", purge_expired),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_deliveries_are_deleted_with_the_objects_they_name(sent: Any, settings: Any, way: str, commit: Any) -> None:
    kind, delete = WAYS[way]
    settings.PERSON_RETENTION_DAYS = 30
    uploaded = sent(kind)
    names = uploaded.names()
    kinds = (
        {"study.finished"}
        if kind == "guest"
        else {"study.finished", "image.failed", "image.positive", "webhook", "email"}
    )
    assert {row.kind for row in deliveries_naming(names)} == kinds
    with commit():
        delete(uploaded)
    assert not Image.objects.exists()
    assert not Study.objects.exists()
    assert deliveries_naming(names) == []


def test_deliveries_about_other_objects_are_kept(sent: Any) -> None:
    uploaded = sent("person")
    about_study = deliveries_naming({str(uploaded.study.pk)})
    webhook = services.create_webhook(Identity(user=uploaded.owner["owner"]), "https://receiver.invalid/test")[0]
    services.send_test(webhook)
    deletion.delete_image(uploaded.image)
    assert deliveries_naming({str(uploaded.image.pk)}) == []
    remaining = set(Delivery.objects.all())
    assert {row for row in about_study if str(uploaded.image.pk) not in str(row.payload)} <= remaining
    assert Delivery.objects.filter(payload__event="webhook.test").count() == 1


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_an_upgrade_sets_the_subject_of_earlier_deliveries() -> None:
    one, two, three = uuid4(), uuid4(), uuid4()
    payloads = [{"study": str(one)}, {"image": str(two)}, {"images": [str(three)]}, {"event": "webhook.test"}]
    now = timezone.now()
    try:
        MigrationExecutor(connection).migrate([("outbox", "0003_delivery_attempt_log")])
        before = MigrationExecutor(connection).loader.project_state([("outbox", "0003_delivery_attempt_log")])
        earlier = before.apps.get_model("outbox", "Delivery")
        for number, payload in enumerate(payloads):
            earlier.objects.create(key=str(number), kind="x", payload=payload, next_attempt_at=now, expires_at=now)
    finally:
        call_command("migrate", verbosity=0)
    assert list(Delivery.objects.order_by("key").values_list("subject", flat=True)) == [one, two, three, None]
