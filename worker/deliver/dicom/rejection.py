"""What says that former objects do not count any more: a Key Object Selection, as IHE's profile "Imaging Object Change
Management" has it.
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
    """The rejection of what a former revision said.

    Args:
        source: the image's data set, of :func:`worker.deliver.dicom.source.read`.
        revision: the one that supersedes it.
        rejected: what was sent of the former one, as :func:`worker.deliver.dicom.source.reference` has it.
    """
    content = KeyObjectSelection(
        # The title by which archives hide what is rejected. One with a result that is known to be wrong may do harm.
        document_title=codes.DCM.RejectedForPatientSafetyReasons,
        referenced_objects=rejected,
        observer_device_context=observer(revision),
        description=f"Superseded: the result has changed. {NOT_FOR_DIAGNOSIS}.",
    )
    name = rejection_of([one.SOPClassUID for one in rejected])
    made = KeyObjectSelectionDocument(evidence=rejected, content=content, **place(revision, REJECTION, name))
    made.copy_patient_and_study_information(source)
    finish(made, revision, REJECTION)
    return made
