"""What senders are offered: SOP classes and transfer syntaxes."""

from functools import lru_cache

from pydicom import uid
from pynetdicom import AE, _config
from pynetdicom.pdu_items import PDU_ITEM_TYPES, PresentationContextItemRQ
from pynetdicom.presentation import PresentationContext

from webapp.dicom.accepted import CLASSES, SYNTAXES
from worker.dicom import committing

#: C-ECHO's class.
VERIFICATION = uid.UID("1.2.840.10008.1.1")
#: Of what is taken a department's PACS is asked for these: computed radiography and digital X-rays.
RADIOGRAPHS = CLASSES[:3]

#: Bytes of an item that asks for a class, up to which it is remembered: nobody fills the memory with longer ones.
LONGEST_ITEM = 1024


class Asked(PresentationContextItemRQ):
    """An item of a request for an association, which asks for a class.

    Senders ask for a hundred classes and more, each time for the same: half of the work for an association was this.
    What the same bytes ask for is shared by all associations, which do not change it.
    """

    def decode(self, bytestream: bytes) -> None:
        self._asked = (_read if len(bytestream) <= LONGEST_ITEM else _read.__wrapped__)(bytestream)

    def to_primitive(self) -> PresentationContext:
        return self._asked


@lru_cache(2048)
def _read(item: bytes) -> PresentationContext:
    decoded = PresentationContextItemRQ()
    decoded.decode(item)
    return decoded.to_primitive()


# pynetdicom has no documented way to read an item otherwise.
PDU_ITEM_TYPES[0x20] = Asked
_config.VALIDATORS["UI"] = lru_cache(512)(_config.VALIDATORS["UI"])


def add_to(entity: AE) -> None:
    entity.add_supported_context(VERIFICATION)
    # A PACS reports as the provider of this class, and connects for that.
    entity.add_supported_context(committing.CLASS, scu_role=True, scp_role=True)
    for each in CLASSES:
        entity.add_supported_context(each, list(SYNTAXES))
