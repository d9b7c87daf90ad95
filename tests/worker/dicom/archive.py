"""A PACS for tests, which answers searches and sends its images by C-GET or C-MOVE."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch

from pydicom import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from worker.dicom.retrieving import GET, MOVE
from worker.dicom.searching import FIND

KEYS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


class Archive:
    """A PACS.

    Attributes:
        images: the images that it stores.
        listener: the port to which C-MOVE sends images.
        requested: the SOP Instance UIDs that were requested from it.
        withheld: the SOP Instance UIDs that it does not send.
    """

    def __init__(self, *images: Dataset) -> None:
        self.images = list(images)
        self.listener = 0
        self.requested: list[str] = []
        self.withheld: set[str] = set()
        self.port = 0

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        identifier = event.identifier
        key = KEYS[identifier.QueryRetrieveLevel]
        for image in {getattr(image, key): image for image in self.images if matches(image, identifier)}.values():
            found = Dataset()
            found.update({element.tag: element for element in image if element.tag in identifier})
            found.ModalitiesInStudy = image.Modality
            yield 0xFF00, found

    def requested_images(self, event: evt.Event) -> list[Dataset]:
        found = [image for image in self.images if matches(image, event.identifier)]
        self.requested += [image.SOPInstanceUID for image in found]
        return [image for image in found if image.SOPInstanceUID not in self.withheld]

    def get(self, event: evt.Event) -> Iterator[object]:
        images = self.requested_images(event)
        yield len(images)
        for image in images:
            yield 0xFF00, image

    def move(self, event: evt.Event) -> Iterator[object]:
        if event.move_destination != "PNEUMOQUEUE":
            yield None, None
            return
        yield "127.0.0.1", self.listener
        yield from self.get(event)


def matches(image: Dataset, identifier: Dataset) -> bool:
    for element in identifier:
        pattern = str(element.value or "")
        if element.keyword in ("QueryRetrieveLevel", "SpecificCharacterSet", "ModalitiesInStudy") or not pattern:
            continue
        if not fnmatch(str(image.get(element.keyword, "")), pattern):
            return False
    return True


@contextmanager
def running(*images: Dataset) -> Iterator[Archive]:
    entity = AE(ae_title="ARCHIVE")
    for uid in (FIND, GET, MOVE):
        entity.add_supported_context(uid)
    entity.add_supported_context(
        DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, scu_role=True, scp_role=True
    )
    entity.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    archive = Archive(*images)
    handlers = [(evt.EVT_C_FIND, archive.find), (evt.EVT_C_GET, archive.get), (evt.EVT_C_MOVE, archive.move)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    archive.port = server.socket.getsockname()[1]
    try:
        yield archive
    finally:
        server.shutdown()
