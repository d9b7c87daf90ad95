"""The domain. The database holds the state of every upload; the broker only carries ids."""

from webapp.studies.models.archives import Archive
from webapp.studies.models.bundles import Bundle
from webapp.studies.models.images import IdempotencyKey, Image
from webapp.studies.models.pauses import Pause
from webapp.studies.models.readings import Reading, Turn
from webapp.studies.models.studies import Patient, Study

__all__ = ["Archive", "Bundle", "IdempotencyKey", "Image", "Patient", "Pause", "Reading", "Study", "Turn"]
