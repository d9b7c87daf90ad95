"""The confidentiality profile's table, attribute by attribute, and the attributes that its options keep."""

import io

import numpy as np
import pydicom
import pytest
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as standard
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from deidentify.areas import Area
from deidentify.cleaning import Options, clean
from deidentify.errors import NotCleanedError
from deidentify.files import read, write
from deidentify.table import CHARACTERISTICS, DEVICE, Action, action
from tests.dicom_files import made

KEY = b"a key of a department"
MARK = "MARKED7"
#: For each value representation, a value that is recognisable if any of it is left.
MARKED = {
    "AS": "077Y", "DA": "19770707", "DT": "19770707070707", "TM": "070707.77", "DS": "7777.77", "IS": "777777",
    "UI": "1.2.777777",
    "PN": f"{MARK}^{MARK}", **dict.fromkeys(("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT", "UR"), MARK),
    **dict.fromkeys(("OB", "OW", "UN"), MARK.encode() + b" "), **dict.fromkeys(("US", "UL", "SS", "SL"), 7777),
    **dict.fromkeys(("FD", "FL"), 7777.75),
}  # fmt: skip
TAGS = [tag[0] << 16 | tag[1] for tag in standard.ALL_TAGS if len(tag) == 2]
KNOWN = [tag for tag in TAGS if dictionary_has_tag(tag) and tag >> 16 > 2]


BASIC = Options()


def cleaned(source, options=BASIC, key=KEY):
    """Clean a file, write it, and return it as pydicom reads it."""
    dataset = read(io.BytesIO(source))
    clean(dataset, key, options)
    stream = io.BytesIO()
    write(dataset, stream)
    stream.seek(0)
    return pydicom.dcmread(stream)


def marked(tag):
    representation = dictionary_VR(tag).split(" or ")[0]
    if representation != "SQ":
        return DataElement(tag, representation, MARKED[representation])
    item = Dataset()
    item.PatientComments = MARK
    return DataElement(tag, "SQ", [item])


def with_everything():
    """Return a file with every attribute of the table, at the top level and within sequences that are kept."""
    dataset = pydicom.dcmread(io.BytesIO(made()))
    inner, middle = Dataset(), Dataset()
    for tag in KNOWN:
        dataset.add(marked(tag))
        inner.add(marked(tag))
    middle.ViewModifierCodeSequence = [inner]
    dataset.ViewCodeSequence = [middle]
    dataset.private_block(0x0011, MARK, create=True).add_new(1, "LO", MARK)
    dataset.add_new(0x60000010, "US", 7777)
    dataset.add_new(0x60003000, "OW", MARK.encode() + b" ")
    dataset.add_new(0x50000005, "US", 7777)
    dataset.add_new(0x00209999, "LO", MARK)  # in no edition of the standard
    dataset.PatientID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = MARK, "1.2.777777", "1.2.777777.1"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    stream = io.BytesIO()
    dataset.preamble = MARK.encode().ljust(128)
    dataset.save_as(stream)
    return stream.getvalue()


def values_of(dataset):
    for element in dataset.iterall():
        if element.VR != "SQ":
            yield element


def test_every_attribute_of_the_table_is_cleaned():
    source = with_everything()
    assert source.count(MARK.encode()) > 400
    found = cleaned(source)
    left = {
        str(element.tag)
        for element in values_of(found)
        if str(element.value) in {str(value) for value in MARKED.values()} or MARK in str(element.value)
    }
    stream = io.BytesIO()
    found.save_as(stream)
    assert left == set()
    assert MARK.encode() not in stream.getvalue()
    assert len(found.ViewCodeSequence[0].ViewModifierCodeSequence[0]) > 50  # dummies and empty values


def test_each_attribute_has_the_action_of_its_code():
    allowed = {
        "X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID, "X_Z": Action.EMPTY,
        "X_D": Action.DUMMY, "Z_D": Action.DUMMY, "X_Z_D": Action.DUMMY, "X_Z_U_STAR": Action.CLEAN,
    }  # fmt: skip
    stated = {tag[0] << 16 | tag[1]: code for code in allowed for tag in getattr(standard, f"{code}_TAGS")}
    assert len(stated) == len(standard.ALL_TAGS)
    assert [f"{tag:08X}" for tag in TAGS if action(tag) is not allowed[stated[tag]]] == []


def test_a_cleaned_file_states_the_method():
    found = cleaned(made(PatientName="Doe^Jane"), Options(dates=True, characteristics=True, device=True))
    assert found.PatientIdentityRemoved == "YES"
    assert found.DeidentificationMethod
    codes = [item.CodeValue for item in found.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107", "113108", "113109"]
    assert found.LongitudinalTemporalInformationModified == "MODIFIED"
    assert cleaned(made()).LongitudinalTemporalInformationModified == "REMOVED"


def test_replaced_identifiers_depend_on_the_key():
    one = made(PatientID="MRN-4711", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1", FrameOfReferenceUID="1.2.9")
    two = made(PatientID="MRN-4711", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.2", FrameOfReferenceUID="1.2.9")
    first, second, other = cleaned(one), cleaned(two), cleaned(one, key=b"another")
    for name in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert first[name].value == second[name].value != other[name].value
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID
    assert "MRN" not in first.PatientID
    assert first.StudyInstanceUID.startswith("2.25.")


def test_dates_of_a_patient_shift_together_if_dates_are_kept():
    patient = {"PatientID": "MRN-4711", "PatientBirthDate": "20190101"}
    one = made(**patient, StudyDate="20240105", StudyTime="101500", AcquisitionDateTime="20240105101500.5+0545")
    two = made(**patient, StudyDate="20240110", AcquisitionDate="2024")
    first, second = (cleaned(source, Options(dates=True)) for source in (one, two))
    assert int(second.StudyDate) != 20240110
    days = [pydicom.valuerep.DA(found.StudyDate) for found in (first, second)]
    assert (days[1] - days[0]).days == 5
    assert first.AcquisitionDateTime == f"{first.StudyDate}101500.5+0545"
    assert (first.StudyTime, first.PatientBirthDate, second.AcquisitionDate) == ("101500", "", "")
    assert cleaned(one).StudyDate == ""


@pytest.mark.parametrize(
    ("keyword", "representation", "value"),
    [
        ("PatientAddress", "TM", MARK),
        ("OtherPatientNames", "DT", f"20200101{MARK}"),
        ("StudyDate", "DA", f"20200101 {MARK}"),
        ("StudyDate", "LO", MARK),
        ("StudyTime", "TM", MARK),
        ("AcquisitionDateTime", "DT", f"20200101{MARK}"),
    ],
)
def test_a_text_in_place_of_a_date_is_not_kept(keyword, representation, value):
    dataset = pydicom.dcmread(io.BytesIO(made()))
    dataset[keyword] = DataElement(keyword, representation, value, validation_mode=pydicom.config.IGNORE)
    clean(dataset, KEY, Options(dates=True))
    assert MARK not in str(dataset)


@pytest.mark.parametrize("time", ["10", "1011", "101112", "101112.123456", "10:11:12"])
def test_a_time_is_kept_with_dates(time):
    dataset = pydicom.dcmread(io.BytesIO(made()))
    dataset["StudyTime"] = DataElement("StudyTime", "TM", time, validation_mode=pydicom.config.IGNORE)
    clean(dataset, KEY, Options(dates=True))
    assert str(dataset.StudyTime) == time


@pytest.mark.parametrize("keyword", ["PatientID", "BurnedInAnnotation", "StudyInstanceUID", "SOPInstanceUID"])
def test_a_damaged_element_does_not_end_an_export(keyword):
    dataset = pydicom.dcmread(io.BytesIO(made()))
    tag = pydicom.tag.Tag(keyword)
    dataset[tag] = RawDataElement(tag, "FD", 3, b"abc", 0, False, True)
    if keyword in ("SOPInstanceUID", "BurnedInAnnotation"):  # the file is refused, with a code
        with pytest.raises(NotCleanedError):
            clean(dataset, KEY, BASIC)
    else:
        clean(dataset, KEY, BASIC)
        assert dataset.PatientIdentityRemoved == "YES"


def test_characteristics_and_device_are_kept_only_on_request():
    source = made(PatientAge="003Y", PatientSex="F", StationName="ROOM1", InstitutionName="Kanti", Manufacturer="ACME")
    kept = cleaned(source, Options(characteristics=True, device=True))
    assert (kept.PatientAge, kept.PatientSex, kept.StationName, kept.Manufacturer) == ("003Y", "F", "ROOM1", "ACME")
    assert "Kanti" not in str(kept)
    without = cleaned(source)
    assert "PatientAge" not in without
    assert (without.PatientSex, without.StationName) == ("", "REMOVED")
    assert all(action(tag) for tag in CHARACTERISTICS | DEVICE)


def test_pixels_are_unchanged():
    source = made(PatientName="Doe^Jane")
    assert cleaned(source).PixelData == pydicom.dcmread(io.BytesIO(source)).PixelData


@pytest.mark.parametrize("attributes", [{}, {"PlanarConfiguration": 1}], ids=["grey", "planes of colours"])
def test_text_is_blanked_in_the_areas_of_its_device(attributes):
    values = np.full((40, 60, 3) if attributes else (40, 60), 200, np.uint8)
    if attributes:
        values = np.full((3, 40, 60), 200, np.uint8)
        source = made(
            np.full((40, 60, 3), 200, np.uint8), bits=8, photometric="RGB", pixels=values.tobytes(), **attributes
        )
    else:
        source = made(values, bits=8, ManufacturerModelName="X 1", BurnedInAnnotation="YES")
    area = Area((("model", "x 1"),) if not attributes else (), ((10, 0, 20, 5),))
    found = cleaned(source, Options(areas=[area, Area((("station", "other"),), ((0, 0, 60, 40),))]))
    pixels = np.frombuffer(found.PixelData, np.uint8).reshape(-1, 40, 60)
    assert (pixels[:, :5, 10:20] == 0).all()
    assert (pixels == 0).sum() == pixels.shape[0] * 50
    assert found.BurnedInAnnotation == "NO"
    assert "113101" in [item.CodeValue for item in found.DeidentificationMethodCodeSequence]


ANYWHERE = Options(areas=[Area((), ((0, 0, 1, 1),))])
REFUSED = {
    "burned_in_text": (made(BurnedInAnnotation="YES"), Options()),
    "pixels_compressed": (made(syntax=RLELossless), ANYWHERE),
    "dicom_without_pixels": (made(PixelData=None), Options()),
    "dicom_damaged": (made(pixels=b"\0\0", SOPInstanceUID="1.2"), ANYWHERE),
}


@pytest.mark.parametrize("code", REFUSED)
def test_a_file_that_cannot_be_cleaned_is_refused(code):
    source, options = REFUSED[code]
    with pytest.raises(NotCleanedError) as raised:
        cleaned(source, options)
    assert raised.value.code == code


def test_a_deflated_file_is_cleaned():
    assert "Doe" not in str(cleaned(made(syntax=DeflatedExplicitVRLittleEndian, PatientName="Doe^Jane")))
