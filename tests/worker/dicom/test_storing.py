"""Each image is stored unchanged and once, and acknowledged only after that."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.files.storage import default_storage
from django.db import OperationalError
from django.utils import timezone
from pydicom import dcmread
from pydicom.uid import CTImageStorage, JPEGBaseline8Bit, generate_uid

from tests import modality
from webapp.departments.models import Department
from webapp.dicom.models import Instance, Peer, Rule
from webapp.dicom.services import arrivals, instances
from webapp.studies.choices import Priority, Source, Status
from webapp.studies.models import Image, Pause, Study
from webapp.studies.services import opening
from worker.dicom import storing

pytestmark = modality.committed_rows
SUCCESS, NOT_AUTHORIZED, OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0x0000, 0x0124, 0xA700, 0xA900, 0xC000


def test_an_image_is_stored_unchanged(port: int, department: Department, sent: list[tuple[str, UUID]]) -> None:
    dataset = modality.image(StudyDescription="Thorax")
    assert modality.send(port, dataset) == [SUCCESS]
    image = Image.objects.get()
    with default_storage.open(image.file.name) as file:
        content = file.read()
    assert content.endswith(modality.encoded(dataset))
    assert (
        dcmread(default_storage.open(image.file.name)).file_meta.TransferSyntaxUID
        == dataset.file_meta.TransferSyntaxUID
    )
    assert (image.department, image.source, image.status) == (department, Source.DICOM, Status.QUEUED)
    assert (image.priority, image.stat, image.size) == (Priority.BULK, False, len(content))
    assert image.instance.instance_uid == image.instance_uid == dataset.SOPInstanceUID
    assert image.instance.calling_ae == "SCANNER"
    assert sent == [("worker.ingest", image.pk)]
    study = Study.objects.get()
    assert (study.study_uid, study.name, study.department) == (modality.STUDY, "Thorax", department)


@pytest.mark.parametrize("uid", ["1.2.34", "1.2.345"])
def test_the_file_meta_information_names_no_release_of_a_library(uid: str) -> None:
    """The same image has to have the same hash after an upgrade."""
    written = storing._file_meta(CTImageStorage, uid, JPEGBaseline8Bit)
    read = dcmread(io.BytesIO(b"\0" * 128 + b"DICM" + written), force=True).file_meta
    assert {element.keyword: element.value for element in read} == {
        "FileMetaInformationGroupLength": len(written) - 12, "FileMetaInformationVersion": b"\0\1",
        "MediaStorageSOPClassUID": CTImageStorage, "MediaStorageSOPInstanceUID": uid,
        "TransferSyntaxUID": JPEGBaseline8Bit, "ImplementationClassUID": storing.IMPLEMENTATION,
    }  # fmt: skip


def test_a_study_is_closed_when_no_more_images_come(port: int) -> None:
    modality.send(port, modality.image(1))
    modality.send(port, modality.image(2), modality.image(3, StudyInstanceUID=generate_uid()))
    study = Study.objects.get(study_uid=modality.STUDY)
    assert study.images.count() == 2
    assert 0 < (study.open_until - timezone.now()).total_seconds() <= 60
    assert opening.close_abandoned(10) == 0
    Study.objects.filter(pk=study.pk).update(open_until=timezone.now() - timedelta(seconds=1))
    assert opening.close_abandoned(10) == 1
    # Another image reopens it.
    modality.send(port, modality.image(4))
    assert Study.objects.get(pk=study.pk).open_until


def test_a_repeated_image_is_stored_once_and_a_changed_one_separately(port: int) -> None:
    dataset = modality.image(1)
    assert modality.send(port, dataset, dataset) == [SUCCESS, SUCCESS]
    assert Image.objects.count() == 1
    dataset.PatientName = "Corrected^Name"
    assert modality.send(port, dataset, dataset) == [SUCCESS, SUCCESS]
    first, changed = Image.objects.order_by("created_at")
    assert (first.instance_uid, changed.instance_uid) == (dataset.SOPInstanceUID, None)
    assert changed.instance.instance_uid == dataset.SOPInstanceUID
    assert len(list(default_storage.walk("uploads"))) == 2


def test_simultaneous_senders_of_the_same_images_store_each_once(port: int) -> None:
    images = [modality.image(number) for number in range(4)]
    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(lambda _: modality.send(port, *images), range(6)))
    assert statuses == [[SUCCESS] * 4] * 6
    assert sorted(Image.objects.values_list("instance_uid", flat=True)) == sorted(
        image.SOPInstanceUID for image in images
    )
    assert Study.objects.count() == 1
    assert len(list(default_storage.walk("uploads"))) == 4


@pytest.mark.parametrize("error", [OSError("disk is full"), OperationalError("locked"), ZeroDivisionError("odd")])
def test_an_image_that_cannot_be_stored_is_not_acknowledged(
    port: int, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    dataset = modality.image()
    failing, name = (instances, "build") if isinstance(error, OperationalError) else (arrivals.storing, "store")
    with monkeypatch.context() as patch:

        def fail(*_: Any) -> None:
            raise error

        patch.setattr(failing, name, fail)
        assert modality.send(port, dataset) == [0xC211 if isinstance(error, ZeroDivisionError) else OUT_OF_RESOURCES]
    assert not Image.objects.exists()
    assert not Study.objects.exists()
    assert modality.send(port, dataset) == [SUCCESS]


def test_images_without_a_study_or_too_large_are_refused(port: int, settings: Any) -> None:
    dataset = modality.image()
    assert modality.send(port, modality.image(StudyInstanceUID="")) == [CANNOT_UNDERSTAND]
    settings.MAX_IMAGE_BYTES = 20_000
    statuses = modality.send(port, modality.image(side=512), modality.image(side=128), dataset)
    assert statuses == [CANNOT_UNDERSTAND, CANNOT_UNDERSTAND, SUCCESS]
    assert Image.objects.get().instance_uid == dataset.SOPInstanceUID


@pytest.mark.parametrize(
    ("content", "status"), [(modality.encoded(modality.image()), MISMATCH), (b"no data set", CANNOT_UNDERSTAND)]
)
def test_a_data_set_other_than_announced_is_refused(
    port: int, monkeypatch: pytest.MonkeyPatch, content: bytes, status: int
) -> None:
    monkeypatch.setattr("pynetdicom.association.encode", lambda *_: content)
    assert modality.send(port, modality.image()) == [status]
    assert not Image.objects.exists()


def test_a_department_that_takes_no_images_refuses_them_for_now(port: int, department: Department) -> None:
    Pause.objects.create(
        scope=str(department.pk), department=department, kind=Pause.Kind.DRAINING, since=timezone.now()
    )
    with modality.connected(port) as association:
        answer = association.send_c_store(modality.image())
    assert answer.Status == OUT_OF_RESOURCES
    assert answer.ErrorComment.startswith("This department accepts no new images")
    Pause.objects.all().delete()
    department.daily_images = 1
    department.save()
    assert modality.send(port, modality.image(1), modality.image(2)) == [SUCCESS, OUT_OF_RESOURCES]


def test_a_cancelled_study_takes_no_more_images(port: int) -> None:
    modality.send(port, modality.image(1))
    Study.objects.update(cancelled_at=timezone.now())
    assert modality.send(port, modality.image(2)) == [NOT_AUTHORIZED]
    assert len(list(default_storage.walk("uploads"))) == 1


def test_urgent_images_are_read_before_all_others(port: int, peer: Peer) -> None:
    modality.send(port, modality.image(1), modality.image(2, RequestedProcedurePriority="STAT"), modality.image(3))
    assert set(Image.objects.values_list("priority", "stat")) == {(Priority.INTERACTIVE, True)}
    peer.stat = True
    peer.save()
    modality.send(port, modality.image(4, StudyInstanceUID=generate_uid()))
    assert Study.objects.filter(stat=True).count() == 2


def test_compressed_images_stay_compressed(port: int) -> None:
    jpeg = b"\xff\xd8\xff\xe0 no such pixels \xff\xd9"
    dataset = modality.image(syntax=JPEGBaseline8Bit)
    dataset.PixelData = modality.encapsulated(jpeg)
    assert modality.send(port, dataset, syntaxes=[JPEGBaseline8Bit]) == [SUCCESS]
    with default_storage.open(Image.objects.get().file.name) as file:
        assert jpeg in file.read()
    assert Instance.objects.get().transfer_syntax == JPEGBaseline8Bit


def test_a_matching_rule_prioritises_an_image_and_names_its_study(port: int, department: Department) -> None:
    Rule.objects.create(department=department, conditions="CallingAE is SCANNER\nStationName is ER", stat=True,
                        name_prefix="ER")  # fmt: skip
    modality.send(port, modality.image(1, StudyDescription="Thorax", StationName="er"))
    modality.send(port, modality.image(2, StudyInstanceUID=generate_uid(), StudyDescription="Thorax"))
    assert set(Image.objects.values_list("stat", "priority", "study__name")) == {
        (True, Priority.INTERACTIVE, "ER Thorax"), (False, Priority.BULK, "Thorax"),
    }  # fmt: skip
    assert Peer.objects.get().last_heard_at is not None
