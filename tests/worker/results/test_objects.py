"""Results as DICOM objects: their content, their patients and their UIDs."""

import io
from dataclasses import dataclass

import pytest
from highdicom.ko import KeyObjectSelectionDocument
from highdicom.sr import Comprehensive3DSR
from pydicom import dcmread
from pydicom.sr.codedict import codes

from tests.worker.results import source_files
from webapp.studies.choices import WarningCode
from webapp.studies.models import Reading
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.deliver.dicom import making, report


def written(data):
    """An object's bytes, as its receiver gets them."""
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def arrived(objects):
    return [dcmread(io.BytesIO(written(data))) for data in objects]


@dataclass(frozen=True)
class ReportContent:
    presence: str
    percent: float | None
    algorithm: dict
    source: str
    comments: str


def report_content(data):
    """The content of a report, as highdicom reads it."""
    document = Comprehensive3DSR.from_dataset(data)
    [group] = document.content.get_image_measurement_groups()
    assert group.finding_type == report.PNEUMONIA
    measured = group.get_measurements(name=codes.DCM.CertaintyOfFinding)
    [evaluated] = group.get_qualitative_evaluations(name=codes.DCM.PresenceOfProperty)
    items = list(group[0].ContentSequence)
    algorithm = [item.value for item in items if item.name.meaning.startswith("Algorithm")]
    comments = [item.value for item in items if item.name == codes.DCM.Comment]
    if measured:
        assert measured[0].unit == codes.UCUM.Percent
    [source] = group.source_images
    return ReportContent(
        evaluated.value.meaning,
        measured[0].value if measured else None,
        algorithm,
        source.referenced_sop_instance_uid,
        " ".join(comments),
    )


def test_a_result_is_a_report_and_a_picture_of_the_same_study(dicom_image, make_revision):
    image = dicom_image()
    sr, picture = arrived(making.make(make_revision(image, warnings=["borders_removed"])))
    source = dcmread(io.BytesIO(source_files.cr()))
    for data in (sr, picture):
        assert data.StudyInstanceUID == source.StudyInstanceUID
        assert data.SeriesInstanceUID != source.SeriesInstanceUID
        assert (str(data.PatientName), data.PatientID) == (source_files.PATIENT, source.PatientID)
        assert (data.PatientBirthDate, data.AccessionNumber) == (source.PatientBirthDate, source.AccessionNumber)
        assert "not for diagnosis" in data.SeriesDescription
        assert data.SOPInstanceUID.startswith("2.25.")
    assert len({sr.SeriesInstanceUID, picture.SeriesInstanceUID, sr.SOPInstanceUID, picture.SOPInstanceUID}) == 4
    content = report_content(sr)
    assert (content.presence, content.percent, content.source) == ("Present", 93.12, source.SOPInstanceUID)
    assert content.algorithm == [
        "vgg16-pneumonia", "1.2.0", "PneumoQueue", "operating point: balanced", "threshold: 45.67 %",
    ]  # fmt: skip
    assert "Not for diagnosis" in content.comments
    assert "borders cut off" in content.comments
    [reference] = picture.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    # The picture is in colour, with a band of text below it.
    pixels = picture.pixel_array
    assert pixels.shape[1] == 200
    assert (pixels[:201, :, 0] > pixels[:201, :, 2]).any()
    assert (pixels[202:] == 255).any()


def test_the_same_result_always_makes_the_same_objects(dicom_image, make_revision):
    revision = make_revision(dicom_image())
    first, second = ([written(data) for data in making.make(revision)] for _ in range(2))
    assert first == second


def test_another_image_or_revision_gets_other_uids(dicom_image, make_revision):
    uids = set()
    for image in (dicom_image(1), dicom_image(2)):
        for number in (1, 2):
            uids |= {data.SOPInstanceUID for data in making.make(make_revision(image, number))}
    # A report and a picture for each revision, and for each image an object that rejects those of the first revision.
    assert len(uids) == 10


@pytest.mark.parametrize(
    ("group", "presence", "percent"),
    [("unclear", "Presence Undetermined", 93.12), ("negative", "Absent", 93.12), ("unusable", "Not Evaluated", None)],
)
def test_each_group_has_its_finding_and_its_objects(dicom_image, make_revision, group, presence, percent):
    objects = arrived(making.make(make_revision(dicom_image(group=group), group=group)))
    content = report_content(objects[0])
    assert (content.presence, content.percent) == (presence, percent)
    # There is no picture of an unusable image.
    assert len(objects) == (1 if group == "unusable" else 2)
    assert ("probability" in content.comments) == (group != "unusable")
    # A good image of another age is in the same group.
    assert ("No answer: the image is not usable, or the model learnt from other ages" in content.comments) == (
        group == "unusable"
    )


@pytest.mark.parametrize("code", ["age_outside_training", "view_not_frontal"])
@pytest.mark.parametrize("group", ["positive", "negative"])
def test_an_unreliable_label_is_no_finding_unless_a_reader_confirms_it(dicom_image, make_revision, code, group):
    image = dicom_image(group=group)
    sr, picture = arrived(making.make(make_revision(image, group=group, warnings=[code])))
    content = report_content(sr)
    assert (content.presence, content.percent) == ("Presence Undetermined", None)
    label = report.GROUPS[group]
    assert f"The model's result: {label} (not reliable), probability 93.12 %. Beware: " in content.comments
    assert f"{label} (not reliable)" in picture.ImageComments
    verdict, presence = ("PNEUMONIA", "Present") if group == "positive" else ("NORMAL", "Absent")
    confirmed = make_revision(image, 2, group=group, warnings=[code], verdict=verdict)
    content = report_content(arrived(making.make(confirmed))[0])
    assert (content.presence, content.percent, content.algorithm) == (presence, None, [])
    assert f"verdict: {report.VERDICTS[verdict]}. The model's result was: {label} (not reliable)" in content.comments


@pytest.mark.parametrize("code", WarningCode.values)
def test_each_warning_has_its_text(dicom_image, make_revision, code):
    sr, picture = arrived(making.make(make_revision(dicom_image(), warnings=[code])))
    text = f"Beware: {report.WARNINGS[WarningCode(code)]}."
    assert text in report_content(sr).comments
    assert text in picture.ImageComments


def test_an_overruling_verdict_supersedes_the_report_and_rejects_the_first_objects(dicom_image, make_revision):
    image = dicom_image()
    first = arrived(making.make(make_revision(image)))
    second = arrived(making.make(make_revision(image, 2, verdict="NORMAL")))
    assert [data.Modality for data in second] == ["SR", "KO"]
    content = report_content(second[0])
    assert (content.presence, content.percent, content.algorithm) == ("Absent", None, [])
    assert "A reader's verdict: Normal. It overrules" in content.comments
    [study] = second[0].PredecessorDocumentsSequence
    [series] = study.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first[0].SOPInstanceUID
    rejection = KeyObjectSelectionDocument.from_dataset(second[1])
    assert rejection.ConceptNameCodeSequence[0].CodeValue == "113037"
    for data in first:
        study_uid, series_uid, _ = rejection.resolve_reference(data.SOPInstanceUID)
        assert (study_uid, series_uid) == (data.StudyInstanceUID, data.SeriesInstanceUID)


def test_a_rejection_names_only_objects_that_the_destination_gets(dicom_image, make_revision):
    image = dicom_image()
    make_revision(image)
    revision = make_revision(image, 2, verdict="NORMAL")
    rejections = {
        len(made[-1].CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence): made[-1].SOPInstanceUID
        for made in (
            making.make(revision),
            making.make(revision, pictures=False),
        )
    }
    assert set(rejections) == {1, 2}
    assert len(set(rejections.values())) == 2
    assert [data.Modality for data in making.make(revision, reports=False)] == ["KO"]


def test_a_file_with_few_attributes_is_enough(dicom_image, make_revision):
    bare = dict.fromkeys(
        ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
         "PatientOrientation", "Manufacturer", "SpecificCharacterSet")
    )  # fmt: skip
    objects = arrived(making.make(make_revision(dicom_image(content=source_files.cr(**bare)))))
    assert [data.get("PatientID") for data in objects] == ["SYN-0042"] * 2
    assert not objects[0].PatientName


def test_names_in_other_character_sets_keep_their_letters(dicom_image, make_revision):
    content = source_files.cr(SpecificCharacterSet="ISO_IR 144", PatientName="Нгуен^Анна")
    sr, _ = arrived(making.make(make_revision(dicom_image(content=content))))
    assert (str(sr.PatientName), sr.SpecificCharacterSet) == ("Нгуен^Анна", "ISO_IR 192")


def test_a_missing_or_invalid_file_is_given_up(dicom_image, make_revision):
    image = dicom_image()
    revision = make_revision(image)
    image.file.storage.delete(image.file.name)
    with pytest.raises(ObsoleteError):
        making.make(revision)
    image.file.storage.save(image.file.name, io.BytesIO(b"no DICOM at all"))
    image.sha256 = ""
    with pytest.raises(NotDeliveredError) as refused:
        making.make(revision)
    assert refused.value.permanent


def test_there_is_no_picture_without_a_reading_of_the_revisions_bundle(dicom_image, make_revision):
    image = dicom_image()
    revision = make_revision(image)
    Reading.objects.filter(image=image).update(bundle="another")
    assert [data.Modality for data in making.make(revision)] == ["SR"]
