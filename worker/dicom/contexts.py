"""What senders are offered: SOP classes and transfer syntaxes."""

from pydicom import uid
from pynetdicom import AE

from webapp.dicom.accepted import CLASSES, SYNTAXES

#: C-ECHO's class.
VERIFICATION = uid.UID("1.2.840.10008.1.1")
#: Of what is taken a department's PACS is asked for these: computed radiography and digital X-rays.
RADIOGRAPHS = CLASSES[:3]


def add_to(entity: AE) -> None:
    entity.add_supported_context(VERIFICATION)
    for each in CLASSES:
        entity.add_supported_context(each, list(SYNTAXES))
