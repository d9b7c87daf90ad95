"""A PACS for tests, which stores what it receives or refuses it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt

from worker.deliver.dicom.sending import CLASSES
from worker.dicom import committing
from worker.dicom.contexts import VERIFICATION


@dataclass
class Pacs:
    """What it has stored, by SOP Instance UID in the order of arrival, and how it answers."""

    port: int = 0
    status: int = 0x0000
    stored: dict[str, Dataset] = field(default_factory=dict)
    received: int = 0
    #: SOP Instance UIDs that it reports as not stored.
    lost: set[str] = field(default_factory=set)
    silent: bool = False

    def store(self, event: evt.Event) -> int:
        self.received += 1
        if self.status == 0x0000:
            data = event.dataset
            self.stored[data.SOPInstanceUID] = data
        return self.status

    def commit(self, event: evt.Event) -> tuple[int, None]:
        """Report over the same association, as small archives do."""
        request, response = event.action_information, Dataset()
        response.TransactionUID = request.TransactionUID
        uids = [item.ReferencedSOPInstanceUID for item in request.ReferencedSOPSequence]
        failed = self.lost.intersection(uids) | set(uids).difference(self.stored)
        response.ReferencedSOPSequence = [committing.reference(CLASSES[0], uid) for uid in set(uids) - failed]
        if failed:
            response.FailedSOPSequence = [committing.reference(CLASSES[0], uid) for uid in failed]
            for item in response.FailedSOPSequence:
                item.FailureReason = 0x0112
        report = (response, 2 if failed else 1, committing.CLASS, committing.INSTANCE)
        if not self.silent:
            threading.Timer(0.1, event.assoc.send_n_event_report, report).start()
        return 0x0000, None

    def modalities(self) -> list[str]:
        return [data.Modality for data in self.stored.values()]


@contextmanager
def running(
    port: int = 0,
    ae_title: str = "PACS",
    classes: tuple[str, ...] = CLASSES,
    syntax: str = ExplicitVRLittleEndian,
    commits: bool = False,
) -> Iterator[Pacs]:
    """Run a PACS that accepts some SOP classes in one transfer syntax."""
    entity = AE(ae_title=ae_title)
    entity.require_called_aet = True
    entity.add_supported_context(VERIFICATION, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    if commits:
        entity.add_supported_context(committing.CLASS)
    for class_uid in classes:
        entity.add_supported_context(class_uid, syntax)
    archive = Pacs()
    handlers = [(evt.EVT_C_STORE, archive.store), (evt.EVT_N_ACTION, archive.commit)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    archive.port = server.socket.getsockname()[1]
    try:
        yield archive
    finally:
        server.shutdown()
