"""The presentation contexts that the listener supports: SOP classes and transfer syntaxes."""

from functools import lru_cache

from pydicom import uid
from pynetdicom import AE, _config
from pynetdicom.pdu_items import PDU_ITEM_TYPES, PresentationContextItemRQ
from pynetdicom.presentation import PresentationContext

from webapp.dicom.accepted import CLASSES, SYNTAXES
from worker.dicom import committing

#: The SOP class of C-ECHO.
VERIFICATION = uid.UID("1.2.840.10008.1.1")
#: The accepted classes that are requested from a department's PACS: computed radiography and digital X-rays.
RADIOGRAPHS = CLASSES[:3]

#: Longest presentation context item, in bytes, that is cached, so that a peer cannot fill the memory.
LONGEST_ITEM = 1024


class CachedContextItem(PresentationContextItemRQ):
    """A presentation context item of an association request, with cached decoding.

    Senders propose a hundred or more contexts, the same ones each time. Decoding them was half of the work for an
    association. All associations share the decoded context for the same bytes; none of them changes it.
    """

    def decode(self, bytestream: bytes) -> None:
        self._context = (_read if len(bytestream) <= LONGEST_ITEM else _read.__wrapped__)(bytestream)

    def to_primitive(self) -> PresentationContext:
        return self._context


@lru_cache(2048)
def _read(item: bytes) -> PresentationContext:
    decoded = PresentationContextItemRQ()
    decoded.decode(item)
    return decoded.to_primitive()


# pynetdicom has no documented way to replace the decoding of an item.
PDU_ITEM_TYPES[0x20] = CachedContextItem
_config.VALIDATORS["UI"] = lru_cache(512)(_config.VALIDATORS["UI"])


def add_to(entity: AE) -> None:
    entity.add_supported_context(VERIFICATION)
    # A PACS connects to send its report, and acts as the SCP of this class on that association.
    entity.add_supported_context(committing.CLASS, scu_role=True, scp_role=True)
    for sop_class in CLASSES:
        entity.add_supported_context(sop_class, list(SYNTAXES))
