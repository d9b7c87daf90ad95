"""A PACS for tests that is searched, and sends what it has by C-GET or C-MOVE."""

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
        images: what it has.
        listener: the port to which C-MOVE sends.
        sent: the SOP Instance UIDs that it was asked for.
        withheld: those that it does not send.
    """

    def __init__(self, *images: Dataset) -> None:
        self.images = list(images)
        self.listener = 0
        self.sent: list[str] = []
        self.withheld: set[str] = set()
        self.port = 0

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        unique = KEYS[asked.QueryRetrieveLevel]
        for image in {getattr(image, unique): image for image in self.images if suits(image, asked)}.values():
            found = Dataset()
            found.update({element.tag: element for element in image if element.tag in asked})
            found.ModalitiesInStudy = image.Modality
            yield 0xFF00, found

    def chosen(self, event: evt.Event) -> list[Dataset]:
        found = [image for image in self.images if suits(image, event.identifier)]
        self.sent += [image.SOPInstanceUID for image in found]
        return [image for image in found if image.SOPInstanceUID not in self.withheld]

    def get(self, event: evt.Event) -> Iterator[object]:
        images = self.chosen(event)
        yield len(images)
        for image in images:
            yield 0xFF00, image

    def move(self, event: evt.Event) -> Iterator[object]:
        if event.move_destination != "PNEUMOQUEUE":
            yield None, None
            return
        yield "127.0.0.1", self.listener
        yield from self.get(event)


def suits(image: Dataset, asked: Dataset) -> bool:
    for element in asked:
        wanted = str(element.value or "")
        if element.keyword in ("QueryRetrieveLevel", "SpecificCharacterSet", "ModalitiesInStudy") or not wanted:
            continue
        if not fnmatch(str(image.get(element.keyword, "")), wanted):
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
    made = Archive(*images)
    handlers = [(evt.EVT_C_FIND, made.find), (evt.EVT_C_GET, made.get), (evt.EVT_C_MOVE, made.move)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    made.port = server.socket.getsockname()[1]
    try:
        yield made
    finally:
        server.shutdown()
