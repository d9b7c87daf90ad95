"""Mark objects of an earlier revision as no longer valid, by a Key Object Selection of IHE's profile "Imaging Object
Change Management".
"""

from collections.abc import Sequence

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom import Dataset
from pydicom.sr.codedict import codes

from webapp.dicom.models import Revision
from webapp.dicom.results import REJECTION, rejection_of
from worker.deliver.dicom.report import observer
from worker.deliver.dicom.source import NOT_FOR_DIAGNOSIS, finish, place


def make(source: Dataset, revision: Revision, rejected: Sequence[Dataset]) -> KeyObjectSelectionDocument:
    """Make the rejection of an earlier revision's objects.

    Args:
        source: the image's data set, from :func:`worker.deliver.dicom.source.read`.
        revision: the revision that supersedes the earlier one.
        rejected: the earlier objects, from :func:`worker.deliver.dicom.source.reference`.
    """
    content = KeyObjectSelection(
        # With this title archives hide the rejected objects, since a result that is known to be wrong may do harm.
        document_title=codes.DCM.RejectedForPatientSafetyReasons,
        referenced_objects=rejected,
        observer_device_context=observer(revision),
        description=f"Superseded: the result has changed. {NOT_FOR_DIAGNOSIS}.",
    )
    name = rejection_of([one.SOPClassUID for one in rejected])
    document = KeyObjectSelectionDocument(evidence=rejected, content=content, **place(revision, REJECTION, name))
    document.copy_patient_and_study_information(source)
    finish(document, revision, REJECTION)
    return document
