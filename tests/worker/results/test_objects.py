"""Results as DICOM objects: what they say, for whom, and under which UIDs."""

import io
from dataclasses import dataclass

import pytest
from highdicom.ko import KeyObjectSelectionDocument
from highdicom.sr import Comprehensive3DSR
from pydicom import dcmread
from pydicom.sr.codedict import codes

from tests.worker.results import source_files
from webapp.studies.models import Reading
from webapp.studies.outbox.services import NotDeliveredError, ObsoleteError
from worker.deliver.dicom import making, report


def written(made):
    """An object as its receiver has it."""
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def arrived(made):
    return [dcmread(io.BytesIO(written(one))) for one in made]


@dataclass(frozen=True)
class Told:
    presence: str
    percent: float | None
    algorithm: dict
    source: str
    comments: str


def told(data):
    """What highdicom's reader finds in a report."""
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
    return Told(
        evaluated.value.meaning,
        measured[0].value if measured else None,
        algorithm,
        source.referenced_sop_instance_uid,
        " ".join(comments),
    )


def test_a_result_is_a_report_and_a_picture_of_the_same_study(came, revised):
    image = came()
    found, shown = arrived(making.make(revised(image, warnings=["age_outside_training"])))
    source = dcmread(io.BytesIO(source_files.cr()))
    for data in (found, shown):
        assert data.StudyInstanceUID == source.StudyInstanceUID
        assert data.SeriesInstanceUID != source.SeriesInstanceUID
        assert (str(data.PatientName), data.PatientID) == (source_files.PATIENT, source.PatientID)
        assert (data.PatientBirthDate, data.AccessionNumber) == (source.PatientBirthDate, source.AccessionNumber)
        assert "not for diagnosis" in data.SeriesDescription
        assert data.SOPInstanceUID.startswith("2.25.")
    assert len({found.SeriesInstanceUID, shown.SeriesInstanceUID, found.SOPInstanceUID, shown.SOPInstanceUID}) == 4
    said = told(found)
    assert (said.presence, said.percent, said.source) == ("Present", 93.12, source.SOPInstanceUID)
    assert said.algorithm == [
        "vgg16-pneumonia", "1.2.0", "PneumoQueue", "operating point: balanced", "threshold: 45.67 %",
    ]  # fmt: skip
    assert "Not for diagnosis" in said.comments
    assert "the age is outside of one to five" in said.comments
    [of] = shown.SourceImageSequence
    assert of.ReferencedSOPInstanceUID == source.SOPInstanceUID
    # The picture is in colour, and beneath it is a band with words.
    pixels = shown.pixel_array
    assert pixels.shape[1] == 200
    assert (pixels[:201, :, 0] > pixels[:201, :, 2]).any()
    assert (pixels[202:] == 255).any()


def test_the_same_result_is_always_the_same_objects(came, revised):
    revision = revised(came())
    first, second = ([written(one) for one in making.make(revision)] for _ in range(2))
    assert first == second


def test_another_image_department_or_revision_gets_other_uids(came, revised):
    uids = set()
    for image in (came(1), came(2)):
        for number in (1, 2):
            uids |= {one.SOPInstanceUID for one in making.make(revised(image, number))}
    # Report and picture of each, and what rejects the first of either.
    assert len(uids) == 10


@pytest.mark.parametrize(
    ("group", "presence", "percent"),
    [("unclear", "Presence Undetermined", 93.12), ("negative", "Absent", 93.12), ("unusable", "Not Evaluated", None)],
)
def test_each_group_says_what_it_means(came, revised, group, presence, percent):
    objects = arrived(making.make(revised(came(group=group), group=group)))
    said = told(objects[0])
    assert (said.presence, said.percent) == (presence, percent)
    # Nothing is shown of what could not be used.
    assert len(objects) == (1 if group == "unusable" else 2)
    assert ("probability" in said.comments) == (group != "unusable")


def test_a_reader_who_overrules_supersedes_the_report_and_rejects_the_first(came, revised):
    image = came()
    first = arrived(making.make(revised(image)))
    second = arrived(making.make(revised(image, 2, verdict="NORMAL")))
    assert [one.Modality for one in second] == ["SR", "KO"]
    said = told(second[0])
    assert (said.presence, said.percent, said.algorithm) == ("Absent", None, [])
    assert "A reader's verdict: Normal. It overrules" in said.comments
    [study] = second[0].PredecessorDocumentsSequence
    [series] = study.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first[0].SOPInstanceUID
    rejection = KeyObjectSelectionDocument.from_dataset(second[1])
    assert rejection.ConceptNameCodeSequence[0].CodeValue == "113037"
    for one in first:
        study_uid, series_uid, _ = rejection.resolve_reference(one.SOPInstanceUID)
        assert (study_uid, series_uid) == (one.StudyInstanceUID, one.SeriesInstanceUID)


def test_what_a_destination_does_not_get_is_not_rejected_there(came, revised):
    image = came()
    revised(image)
    revision = revised(image, 2, verdict="NORMAL")
    rejections = {
        len(made[-1].CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence): made[-1].SOPInstanceUID
        for made in (
            making.make(revision),
            making.make(revision, pictures=False),
        )
    }
    assert set(rejections) == {1, 2}
    assert len(set(rejections.values())) == 2
    assert [one.Modality for one in making.make(revision, reports=False)] == ["KO"]


def test_a_file_with_little_in_it_is_enough(came, revised):
    bare = dict.fromkeys(
        ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
         "PatientOrientation", "Manufacturer", "SpecificCharacterSet")
    )  # fmt: skip
    objects = arrived(making.make(revised(came(content=source_files.cr(**bare)))))
    assert [one.get("PatientID") for one in objects] == ["SYN-0042"] * 2
    assert not objects[0].PatientName


def test_other_character_sets_arrive_as_the_same_letters(came, revised):
    content = source_files.cr(SpecificCharacterSet="ISO_IR 144", PatientName="Нгуен^Анна")
    found, _ = arrived(making.make(revised(came(content=content))))
    assert (str(found.PatientName), found.SpecificCharacterSet) == ("Нгуен^Анна", "ISO_IR 192")


def test_a_file_that_is_no_dicom_or_gone_is_given_up(came, revised):
    image = came()
    revision = revised(image)
    image.file.storage.delete(image.file.name)
    with pytest.raises(ObsoleteError):
        making.make(revision)
    image.file.storage.save(image.file.name, io.BytesIO(b"no DICOM at all"))
    with pytest.raises(NotDeliveredError) as refused:
        making.make(revision)
    assert refused.value.permanent


def test_without_a_map_there_is_no_picture_of_another_reading(came, revised):
    image = came()
    revision = revised(image)
    Reading.objects.filter(image=image).update(bundle="another")
    assert [one.Modality for one in making.make(revision)] == ["SR"]
