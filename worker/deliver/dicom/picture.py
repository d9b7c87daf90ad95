"""A result as a picture, a Secondary Capture, for viewers that show no reports: the map over the X-ray, with words
beneath.
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
#: The band of words, and its letters.
DARK, LIGHT = (20, 24, 26), (255, 255, 255)


def make(source: Dataset, revision: Revision, preview: bytes, reading: Reading) -> SCImage:
    """The picture of a revision.

    Args:
        source: the image's data set, of :func:`worker.deliver.dicom.source.read`.
        revision: what is to be told.
        preview: the image's.
        reading: the one with the map.
    """
    made = SCImage.from_ref_dataset(
        ref_dataset=source,
        pixel_array=np.asarray(_drawn(preview, revision, reading)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **place(revision, PICTURE),
    )
    # As the X-ray has them; they may be unknown.
    made.PatientOrientation = source.get("PatientOrientation")
    made.Laterality = source.get("Laterality")
    made.ConversionType = "WSD"
    made.Modality = "OT"
    made.DerivationDescription = f"{NOT_FOR_DIAGNOSIS}. {MAP}"
    made.ImageComments = " ".join(comments(revision))
    _refer_to(source, made)
    finish(made, revision, PICTURE)
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.ContentDate, made.ContentTime
    return made


def _refer_to(source: Dataset, made: Dataset) -> None:
    purpose = Dataset()
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = (
        code.value,
        code.scheme_designator,
        code.meaning,
    )
    of = Dataset()
    of.ReferencedSOPClassUID, of.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    of.PurposeOfReferenceCodeSequence = [purpose]
    made.SourceImageSequence = [of]


def _drawn(preview: bytes, revision: Revision, reading: Reading) -> Any:
    shown = Picture.open(io.BytesIO(preview)).convert("RGB")
    if values := bytes(reading.heatmap):
        image = revision.image
        drawn = heatmaps.png(values, image.width or shown.width, image.height or shown.height, reading.region)
        over = Picture.open(io.BytesIO(drawn)).resize(shown.size)
        shown.paste(over, mask=over)
    texts = [f"PneumoQueue {revision.bundle}. {NOT_FOR_DIAGNOSIS}. {MAP}", *comments(revision)[:-1]]
    return _with_words(shown, texts)


def _with_words(shown: Any, texts: list[str]) -> Any:
    """A picture with texts beneath it, so that they cover nothing of the X-ray."""
    size = max(14, shown.width // 45)
    font = ImageFont.load_default(size)
    lines = [line for text in texts for line in _lines(text, font, shown.width - size)]
    height = shown.height + size // 2 + len(lines) * size * 4 // 3
    whole = Picture.new("RGB", (shown.width, height + height % 2), DARK)  # pixel data have an even length
    whole.paste(shown)
    draw = ImageDraw.Draw(whole)
    for number, line in enumerate(lines):
        draw.text((size // 2, shown.height + size // 4 + number * size * 4 // 3), line, LIGHT, font)
    return whole


def _lines(text: str, font: Any, width: int) -> list[str]:
    """A text in lines that are no wider than the picture."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
