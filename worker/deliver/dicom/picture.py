"""A result as a picture (Secondary Capture), for viewers that show no reports: the heat map over the X-ray, with text
below.
"""

import io
from typing import Any

import numpy as np
from highdicom.sc import SCImage
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from webapp.dicom.models import Revision
from webapp.dicom.results import PICTURE
from webapp.studies.files import heatmaps
from webapp.studies.models import Reading
from worker.deliver.dicom.report import comments
from worker.deliver.dicom.source import NOT_FOR_DIAGNOSIS, finish, place

MAP = "Coloured: what the result rests on."
#: The colours of the band with the text, and of its letters.
DARK, LIGHT = (20, 24, 26), (255, 255, 255)


def make(source: Dataset, revision: Revision, preview: bytes, reading: Reading) -> SCImage:
    """Make the picture of a revision.

    Args:
        source: the image's data set, from :func:`worker.deliver.dicom.source.read`.
        revision: the revision to show.
        preview: the image's preview.
        reading: the reading with the heat map.
    """
    picture = SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=np.asarray(_drawn(preview, revision, reading)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **place(revision, PICTURE),
    )
    # Copied from the X-ray; they may be unknown.
    picture.PatientOrientation = source.get("PatientOrientation")
    picture.Laterality = source.get("Laterality")
    picture.ConversionType = "WSD"
    picture.Modality = "OT"
    picture.DerivationDescription = f"{NOT_FOR_DIAGNOSIS}. {MAP}"
    picture.ImageComments = " ".join(comments(revision))
    _refer_to(source, picture)
    finish(picture, revision, PICTURE)
    picture.DateOfSecondaryCapture, picture.TimeOfSecondaryCapture = picture.ContentDate, picture.ContentTime
    return picture


def _refer_to(source: Dataset, picture: Dataset) -> None:
    purpose = Dataset()
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = (
        code.value,
        code.scheme_designator,
        code.meaning,
    )
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [purpose]
    picture.SourceImageSequence = [reference]


def _drawn(preview: bytes, revision: Revision, reading: Reading) -> Any:
    picture = Picture.open(io.BytesIO(preview)).convert("RGB")
    if values := bytes(reading.heatmap):
        image = revision.image
        drawn = heatmaps.png(values, image.width or picture.width, image.height or picture.height, reading.region)
        overlay = Picture.open(io.BytesIO(drawn)).resize(picture.size)
        picture.paste(overlay, mask=overlay)
    texts = [f"PneumoQueue {revision.bundle}. {NOT_FOR_DIAGNOSIS}. {MAP}", *comments(revision)[:-1]]
    return _with_texts(picture, texts)


def _with_texts(picture: Any, texts: list[str]) -> Any:
    """Add texts below a picture, so that they cover nothing of the X-ray."""
    size = max(14, picture.width // 45)
    font = ImageFont.load_default(size)
    lines = [line for text in texts for line in _lines(text, font, picture.width - size)]
    height = picture.height + size // 2 + len(lines) * size * 4 // 3
    extended = Picture.new("RGB", (picture.width, height + height % 2), DARK)  # pixel data have an even length
    extended.paste(picture)
    draw = ImageDraw.Draw(extended)
    for number, line in enumerate(lines):
        draw.text((size // 2, picture.height + size // 4 + number * size * 4 // 3), line, LIGHT, font)
    return extended


def _lines(text: str, font: Any, width: int) -> list[str]:
    """Break a text into lines that are no wider than the picture."""
    lines = [""]
    for word in text.split():
        candidate = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(candidate) > width:
            lines.append(word)
        else:
            lines[-1] = candidate
    return lines
