"""No DICOM object is made of an image whose stored file is damaged, and none is tried again."""

import pytest

from tests.damage import flip_a_bit
from tests.worker.results.outbox import announce, deliver
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.outbox.services import NotDeliveredError
from worker.deliver.dicom import making

pytestmark = pytest.mark.django_db(transaction=True)


def test_nothing_is_made_of_a_damaged_file(dicom_image, caplog):
    image = dicom_image()
    announce(image)
    deliver()
    revision = image.revisions.get()
    assert making.make(revision)
    flip_a_bit(image.file.name)
    with pytest.raises(NotDeliveredError, match="file_damaged") as refused:
        making.make(revision)
    assert refused.value.permanent
    assert making.keep(revision.pk) == 0
    assert "file_damaged" in caplog.text


def test_a_delivery_of_a_damaged_file_is_given_up(dicom_image, destination):
    image = dicom_image()
    destination(1)  # no connection is tried
    flip_a_bit(image.file.name)
    announce(image)
    assert deliver() == {"delivered": 1, "failed": 1}
    delivery = Delivery.objects.get(state=State.DEAD)
    assert (delivery.attempts, delivery.last_error) == (1, "file_damaged: its image's file is damaged")
