"""What senders are offered: SOP classes and transfer syntaxes."""

from functools import lru_cache

from pydicom import uid
from pynetdicom import AE, _config

from webapp.dicom.accepted import CLASSES, SYNTAXES
from worker.dicom import committing

#: C-ECHO's class.
VERIFICATION = uid.UID("1.2.840.10008.1.1")
#: Of what is taken a department's PACS is asked for these: computed radiography and digital X-rays.
RADIOGRAPHS = CLASSES[:3]

# Senders ask for a hundred classes and more, each time for the same: half of the work for an association was this.
_config.VALIDATORS["UI"] = lru_cache(512)(_config.VALIDATORS["UI"])


def add_to(entity: AE) -> None:
    entity.add_supported_context(VERIFICATION)
    # A PACS reports as the provider of this class, and connects for that.
    entity.add_supported_context(committing.CLASS, scu_role=True, scp_role=True)
    for each in CLASSES:
        entity.add_supported_context(each, list(SYNTAXES))
