"""A PACS for tests: it stores what comes, or does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from worker.deliver.dicom.sending import CLASSES
from worker.dicom.contexts import VERIFICATION


@dataclass
class Pacs:
    """What it has stored, by SOP Instance UID, in the order in which it came; and what it answers."""

    port: int = 0
    status: int = 0x0000
    stored: dict[str, Dataset] = field(default_factory=dict)
    received: int = 0

    def store(self, event: evt.Event) -> int:
        self.received += 1
        if self.status == 0x0000:
            data = event.dataset
            self.stored[data.SOPInstanceUID] = data
        return self.status

    def modalities(self) -> list[str]:
        return [data.Modality for data in self.stored.values()]


@contextmanager
def running(
    port: int = 0,
    ae_title: str = "PACS",
    classes: tuple[str, ...] = CLASSES,
    syntax: str = ExplicitVRLittleEndian,
) -> Iterator[Pacs]:
    """Run one that takes some classes in one transfer syntax."""
    entity = AE(ae_title=ae_title)
    entity.require_called_aet = True
    entity.add_supported_context(VERIFICATION, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    for class_uid in classes:
        entity.add_supported_context(class_uid, syntax)
    made = Pacs()
    handlers = [(evt.EVT_C_STORE, made.store)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    made.port = server.socket.getsockname()[1]
    try:
        yield made
    finally:
        server.shutdown()
