"""Patient details are removed in the browser before anything is sent; pydicom checks the result."""

import base64
import io
from typing import Any

import numpy as np
import pydicom
import pytest
from playwright.sync_api import Page
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from ml.pictures import dicom
from tests.browser.harness import open_modules
from tests.dicom_files import made

pytestmark = pytest.mark.browser

STRIP = """async (base64) => {
  const { strip, NotStripped } = await import("/upload-strip.js");
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  try {
    const stripped = await strip(new File([bytes], "Doe Jane.dcm"), "1.dcm");
    const content = new Uint8Array(await stripped.arrayBuffer());
    let text = "";
    for (let at = 0; at < content.length; at += 8192) text += String.fromCharCode(...content.subarray(at, at + 8192));
    return [stripped.name, btoa(text)];
  } catch (error) {
    return [error instanceof NotStripped ? "refused" : String(error), ""];
  }
}"""
SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless)


def identifying_attributes() -> dict[str, Any]:
    """Attributes that identify a patient, in every place where they can occur."""
    code = Dataset()
    code.CodeMeaning, code.CodeValue = "postero-anterior", "R-10214"
    nested, deeper = Dataset(), Dataset()
    deeper.PersonName = "Doe^Jane"
    nested.ReferencedPatientSequence = [deeper]
    nested.PatientComments = "Jane"
    return {
        "PatientName": "Doe^Jane", "PatientID": "Jane4711", "PatientBirthDate": "20200101", "PatientAge": "003Y",
        "PatientSex": "F", "InstitutionName": "Jane's", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4",
        "StudyDate": "20260105", "ViewPosition": "PA", "WindowCenter": "2000", "WindowWidth": "4000",
        "RequestAttributesSequence": [nested], "ViewCodeSequence": [code], "ImageComments": "Jane",
    }  # fmt: skip


def source(syntax: Any, undefined: bool = False, **more: Any) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(made(syntax=syntax, **identifying_attributes(), **more)))
    dataset.preamble = b"Jane".ljust(128)
    dataset.file_meta.SourceApplicationEntityTitle = "JANE"
    dataset.private_block(0x0009, "Jane", create=True).add_new(1, "LO", "Jane")
    dataset.add_new(0xFFFCFFFC, "OB", b"Jane")
    dataset["RequestAttributesSequence"].is_undefined_length = undefined
    dataset.RequestAttributesSequence[0].is_undefined_length_sequence_item = undefined
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


@pytest.fixture
def strip(page: Page) -> Any:
    open_modules(page)

    def run(content: bytes) -> tuple[str, bytes]:
        name, stripped = page.evaluate(STRIP, base64.b64encode(content).decode())
        return name, base64.b64decode(stripped)

    return run


@pytest.mark.parametrize(
    "undefined", [False, pytest.param(True, marks=pytest.mark.long)], ids=["lengths", "undefined lengths"]
)
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.keyword)
def test_a_stripped_file_has_the_same_pixels_and_names_nobody(strip: Any, syntax: Any, undefined: bool) -> None:
    content = source(syntax, undefined)
    name, stripped = strip(content)
    assert name == "1.dcm", name
    assert b"jane" not in stripped.lower()
    before, after = pydicom.dcmread(io.BytesIO(content)), pydicom.dcmread(io.BytesIO(stripped))
    assert after.file_meta.TransferSyntaxUID == syntax
    assert after.PixelData == before.PixelData
    kept = {element.keyword for element in after} - {"PatientIdentityRemoved", "DeidentificationMethod"}
    assert {"PatientAge", "StudyInstanceUID", "SOPInstanceUID", "WindowCenter", "ViewPosition", "Rows"} <= kept
    assert not kept & {"PatientName", "PatientID", "PatientBirthDate", "StudyDate", "InstitutionName", "ImageComments"}
    assert all(before[name] == after[name] for name in kept)
    assert after.PatientIdentityRemoved == "YES"
    pictures = [np.asarray(dicom.read(file).pixels) for file in (content, stripped)]
    assert (pictures[0] == pictures[1]).all()


def test_a_file_that_cannot_be_stripped_is_refused(strip: Any) -> None:
    whole = source(ExplicitVRLittleEndian)
    damaged = {
        "deflated": source(DeflatedExplicitVRLittleEndian), "big endian": source(ExplicitVRBigEndian),
        "no preamble": whole[132:], "cut off": whole[:-5000], "no pixels": whole[:900], "a picture": b"\xff\xd8" * 900,
        "empty": b"", "a lie": whole.replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00\x01\x02"),
    }  # fmt: skip
    assert {reason: strip(content)[0] for reason, content in damaged.items()} == dict.fromkeys(damaged, "refused")
