"""An instance that is sent again is stored once, unless its stored file is lost."""

import pytest
from django.core.files.storage import default_storage

from tests import dicomweb, modality
from webapp.dicom.services import commitments
from webapp.studies.models import Image
from webapp.studies.services import failures

pytestmark = pytest.mark.django_db

COERCED = 0xB000


def test_a_repeated_instance_is_stored_once_and_a_changed_one_separately(scanner):
    one = modality.image()
    changed = modality.image(7, SOPInstanceUID=one.SOPInstanceUID)
    for dataset, status, warning in ((one, 200, 0), (one, 200, 0), (changed, 202, COERCED), (changed, 200, 0)):
        answer = dicomweb.store(scanner, dicomweb.body(dicomweb.file(dataset)))
        assert (answer.status_code, dicomweb.warnings(answer)) == (status, [warning])
        assert dicomweb.reasons(answer) == []
    assert sorted(Image.objects.values_list("instance_uid", flat=True), key=bool) == [None, one.SOPInstanceUID]


@pytest.mark.parametrize(("value", "images"), [(None, 1), (b"other", 2)])
def test_an_instance_with_another_file_meta_information_is_not_stored_again(scanner, value, images):
    one = modality.image(side=1024)
    dicomweb.store(scanner, dicomweb.body(dicomweb.file(one)))
    one.file_meta.ImplementationVersionName = "ANOTHER"
    if value:
        one.PixelData = one.PixelData[: -len(value)] + value
    answer = dicomweb.store(scanner, dicomweb.body(dicomweb.file(one)))
    assert dicomweb.warnings(answer) == [COERCED if value else 0]
    assert Image.objects.count() == images
    stored = default_storage.open(Image.objects.latest("created_at").file.name).read()
    assert (stored == dicomweb.file(one)) == bool(value)


def damage(image: Image) -> None:
    failures.fail(image.pk, "file_damaged", "The stored file is not what was uploaded.")


def remove(image: Image) -> None:
    default_storage.delete(image.file.name)


@pytest.mark.parametrize("lose", [damage, remove])
def test_an_instance_whose_stored_file_is_lost_is_stored_again_once(scanner, department, lose):
    one = modality.image()
    content = dicomweb.body(dicomweb.file(one))
    dicomweb.store(scanner, content)
    lose(Image.objects.get())
    wanted = [(one.SOPClassUID, one.SOPInstanceUID)]
    assert commitments.reasons(department, wanted) == [commitments.NO_SUCH_INSTANCE]
    for _ in range(2):
        assert dicomweb.store(scanner, content).status_code == 200
    lost, stored = Image.objects.order_by("created_at")
    assert (lost.instance_uid, stored.instance_uid) == (None, one.SOPInstanceUID)
    assert default_storage.open(stored.file.name).read() == dicomweb.file(one)
    assert commitments.reasons(department, wanted) == [0]
