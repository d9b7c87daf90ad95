"""Check a file's attributes before decoding: whether it is a radiograph, and of which body part and view."""

import re

from pydicom import Dataset
from pydicom.uid import UID

from ml.errors import ImageError
from ml.pictures.dicom import elements
from ml.pictures.dicom.attributes import NOT_FRONTAL, body_part, view_position
from ml.pictures.formats.contents import check_single_picture, corrupt
from ml.pictures.warnings import not_frontal_chest

#: Computed and digital radiography, digitised film, and values for no modality (PS3.3 C.7.3.1.1.1).
MODALITIES = ("CR", "DX", "RG", "OT", "")
#: SOP classes (PS3.4 B.5) of computed and digital X-rays and of secondary captures, including multi-frame captures,
#: which may have a single frame. A file without a class is judged by its modality.
CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.1", "1.2.840.10008.5.1.4.1.1.7.2",
    "1.2.840.10008.5.1.4.1.1.7.3", "1.2.840.10008.5.1.4.1.1.7.4", "",
)  # fmt: skip
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
#: Values of Body Part Examined for other body parts (PS3.16 Annex L), and other spellings. Unknown values are accepted,
#: since they may be words for the chest in other languages.
OTHER_PARTS = re.compile(
    r"ABDO|ANKLE|ARM\b|BLADDER|BRAIN|BREAST|CALC|CLAVICLE|COCCYX|SPINE|ELBOW|EXTREM|EYE|FACE|FACIAL|FEMUR|FINGER|FOOT|"
    r"FOREARM|HAND\b|HEAD|HIP\b|HIPS\b|HUMERUS|JAW|KIDNEY|KNEE|LEG\b|LEGS\b|LIMB|LSJ|MANDIBLE|MAXILLA|NECK|NOSE|ORBIT|"
    r"PATELLA|PELVI|SACRUM|SACRO|SCAPULA|SHOULDER|SINUS|SKULL|TEETH|THIGH|THUMB|TIBIA|FIBULA|TOE|TMJ|UTERUS|WRIST|"
    r"ZYGOMA|KNIE|FUSS|SCHULTER|BECKEN|PHANTOM"
)
CHEST = re.compile(r"CHEST|THORA[XK]|TORAX|LUNG")
#: View Position (PS3.3 C.8.7.1 and C.8.11.5) of X-rays that are neither frontal nor plainly lateral: oblique, or taken
#: while the patient lies on a side.
OTHER_VIEWS = re.compile(r"^(RLD|LLD|RLO|LLO|[RL][AP]O|XTL)$|OBL|DECUB|AXIAL|LORDO")


def check(dataset: Dataset) -> None:
    """Refuse a data set that is not a single radiograph.

    Raises:
        ImageError: with the code ``dicom_without_pixels``, ``dicom_not_a_radiograph``, ``several_pictures`` or
            ``image_corrupt``.
    """
    if not any(keyword in dataset for keyword in PIXELS):
        raise ImageError("dicom_without_pixels", f"This DICOM file contains no image but {_kind(dataset)}.")
    modality, kind = elements.text(dataset, "Modality").upper(), elements.text(dataset, "SOPClassUID")
    if modality not in MODALITIES or kind not in CLASSES:
        value = modality or "not given"
        raise ImageError(
            "dicom_not_a_radiograph",
            f"This is no radiograph: the file's modality is {value}, and it holds {_kind(dataset)}. X-rays (CR, DX, or "
            "a secondary capture of one) are read.",
        )
    check_single_picture(elements.integer(dataset, "NumberOfFrames", 1), "frames")
    if elements.integer(dataset, "Rows") < 1 or elements.integer(dataset, "Columns") < 1:
        raise corrupt()


def _kind(dataset: Dataset) -> str:
    """The standard's name of what a file contains."""
    kind = elements.text(dataset, "SOPClassUID")
    name = UID(kind).name if kind else ""
    return f"“{name[:80]}”" if name and name != kind else "something unknown"


def not_frontal_warnings(dataset: Dataset) -> list[dict[str, str]]:
    """Warnings that, by its attributes, the file is not a frontal chest X-ray.

    A lateral view gives no warning here: people may correct it, and the warning is made after that
    (:func:`ml.pictures.warnings.outside_training`).
    """
    part, view = body_part(dataset), view_position(dataset)
    if OTHER_PARTS.search(part) and not CHEST.search(part):
        return [not_frontal_chest(f"it shows {part[:40]}, and not a chest")]
    if OTHER_VIEWS.search(view) or NOT_FRONTAL.search(view):
        return [not_frontal_chest(f"its view is {view[:40]}, which is not frontal")]
    return []
