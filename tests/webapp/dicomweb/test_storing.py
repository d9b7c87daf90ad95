"""STOW-RS stores each instance unchanged, or says why not."""

import io

import numpy as np
import pydicom.dataelem
import pydicom.dataset
import pydicom.filereader
import pydicom.tag
import pytest
from django.core.cache import caches
from django.core.files.storage import default_storage
from django.db import OperationalError
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

from tests import dicom_files, dicomweb, modality
from tests.dicom_files import NATIVE
from webapp.audit.models import Entry
from webapp.dicom.accepted import CLASSES, SYNTAXES
from webapp.dicom.models import Instance
from webapp.dicom.services import arrivals, rules
from webapp.dicom.web import headers
from webapp.studies.choices import Source
from webapp.studies.models import Image, Study
from worker.dicom import committing, contexts

pytestmark = pytest.mark.django_db
OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND, CLASS, SYNTAX = 0xA700, 0xA900, 0xC000, 0x0122, 0xC122
COERCED = 0xB000


def test_header_attributes_are_looked_up_by_tag_not_by_keyword(monkeypatch):
    header = headers.read(io.BytesIO(dicomweb.file(modality.image())))
    make_tag, looked_up = pydicom.dataset.Tag, []
    monkeypatch.setattr(pydicom.dataset, "Tag", lambda tag: looked_up.append(tag) or make_tag(tag))
    assert header.texts(rules.IN_FILES)["PatientID"] == "4711"
    assert looked_up
    assert not [one for one in looked_up if isinstance(one, str)]


VALUES = (
    b"1.2.3",
    b"1.2.3\0",
    b" 1.2.3 ",
    b"1.2\0.3\0\0",
    b"1.2\\1.3",
    b"1.2.3\n",
    b"\t1.2",
    b"",
    b"\xe41 ",
    b"\x1b$B1",
    b"\xa0",
)


@pytest.mark.parametrize("charset", ["", "ISO_IR 192", "ISO_IR 13"])
@pytest.mark.parametrize("content", VALUES)
def test_uids_and_codes_are_read_as_pydicom_reads_them(content, charset):
    dataset = modality.image(SpecificCharacterSet=charset, Modality="DX")
    for keyword, representation in (("SOPInstanceUID", "UI"), ("Modality", "CS"), ("StudyDescription", "LO")):
        tag = pydicom.tag.Tag(keyword)
        dataset._dict[tag] = pydicom.dataelem.RawDataElement(
            tag, representation, len(content), content, 0, is_implicit_VR=False, is_little_endian=True
        )
        header = headers.Header(dataset, ExplicitVRLittleEndian, None)
        text = header.text(keyword)
        assert text == str(headers._value(dataset, keyword) or "").strip("\0 ")


def test_an_element_without_a_value_and_with_an_unknown_representation_is_empty():
    """pydicom converts such an element as soon as it is looked up, and raises NotImplementedError."""
    dataset = modality.image()
    tag = pydicom.tag.Tag("SOPClassUID")
    dataset._dict[tag] = pydicom.dataelem.RawDataElement(
        tag, "U\0", 0, None, 0, is_implicit_VR=False, is_little_endian=True
    )
    assert headers.Header(dataset, ExplicitVRLittleEndian, None).text("SOPClassUID") == ""


def test_uids_and_codes_are_read_without_pydicom(monkeypatch):
    header = headers.read(io.BytesIO(dicomweb.file(modality.image())))
    monkeypatch.setattr(headers, "_value", lambda *_: pytest.fail("pydicom reads the value"))
    assert (header.text("SOPInstanceUID"), header.text("Modality")) == (str(header.dataset.SOPInstanceUID), "DX")


def test_a_header_is_parsed_once(monkeypatch):
    read, parsed = pydicom.filereader.read_dataset, []
    monkeypatch.setattr(
        pydicom.filereader, "read_dataset", lambda *args, **kwargs: parsed.append(args) or read(*args, **kwargs)
    )
    headers.read(io.BytesIO(dicomweb.file(modality.image())))
    assert len(parsed) == 2  # the file meta information, and the data set


def test_only_the_header_of_a_file_is_read():
    read = []

    class Recording(io.BytesIO):
        def read(self, size):
            read.append(size)
            return super().read(size)

    headers.read(Recording(dicomweb.file(modality.image())))
    assert read == [headers.FIRST_BYTES]
    long = modality.image(RedPaletteColorLookupTableData=bytes(100_000))
    header = headers.read(Recording(dicomweb.file(long)))
    assert read[1:] == [headers.FIRST_BYTES, headers.HEADER_BYTES]
    assert header.binary(0x00281201) == bytes(100_000)
    assert header.pixels_at


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
def test_a_header_equals_what_pydicom_reads_from_the_file(syntax):
    content = dicom_files.made(np.zeros((8, 8), np.uint8), syntax=syntax, bits=8, PatientName="Marked^Name")
    expected = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    assert headers.read(io.BytesIO(content)).dataset == pydicom.Dataset(expected)
    if syntax != DeflatedExplicitVRLittleEndian:
        without_syntax = content.replace(b"\2\0\x10\0UI", b"\2\0\x11\0UI", 1)
        assert headers.read(io.BytesIO(without_syntax)).text("PatientName") == "Marked^Name"


def test_rule_attributes_are_read_only_if_there_are_rules(scanner, department, monkeypatch):
    requested, texts = [], headers.Header.texts
    monkeypatch.setattr(headers.Header, "texts", lambda self, names: requested.append(set(names)) or texts(self, names))
    one = modality.image(InstitutionName="City Hospital")
    dicomweb.store(scanner, dicomweb.body(dicomweb.file(one)))
    caches["process"].clear()
    department.dicom_rules.create(conditions="InstitutionName is City Hospital", stat=True)
    other = modality.image(1, StudyInstanceUID=generate_uid(), InstitutionName="City Hospital")
    dicomweb.store(scanner, dicomweb.body(dicomweb.file(other)))
    assert requested == [set(), set(rules.IN_FILES)]
    assert list(Image.objects.order_by("created_at").values_list("priority", flat=True)) == ["bulk", "interactive"]


def test_instances_are_stored_unchanged_in_one_study(scanner, department, user, sent):
    files = [dicomweb.file(modality.image(number)) for number in range(2)]
    answer = dicomweb.store(scanner, b"preamble\r\n" + dicomweb.body(*files) + b"epilogue")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/dicom+json"
    study = Study.objects.get()
    assert (study.department, study.study_uid, study.images.count()) == (department, modality.STUDY, 2)
    stored = {default_storage.open(image.file.name).read() for image in study.images.all()}
    assert stored == set(files)
    assert set(study.images.values_list("source", "uploaded_by")) == {(Source.DICOM, user.pk)}
    assert sorted(dicomweb.uids(answer)) == sorted(study.images.values_list("instance_uid", flat=True))
    assert answer.json()["00081190"]["Value"] == [f"http://testserver/dicomweb/studies/{modality.STUDY}"]
    assert sorted(sent.ids("worker.ingest")) == sorted(study.images.values_list("pk", flat=True))
    assert Entry.objects.filter(action="create", kind="studies.study", person="ada").count() == 1


def test_instances_sent_together_count_separately(scanner, department):
    department.daily_images = 3
    department.save()
    first, *others = (modality.image(number) for number in range(4))
    changed = modality.image(7, SOPInstanceUID=first.SOPInstanceUID)
    files = [dicomweb.file(one) for one in (first, first, changed, *others)]
    answer = dicomweb.store(scanner, dicomweb.body(*files))
    assert (answer.status_code, dicomweb.reasons(answer)) == (202, [OUT_OF_RESOURCES] * 2)
    assert dicomweb.warnings(answer) == [0, 0, COERCED, 0]
    assert Image.objects.count() == 3
    assert Image.objects.filter(instance_uid=None).count() == 1
    assert len(list(default_storage.walk("uploads"))) == 3


def test_instances_sent_together_share_database_statements(scanner, django_assert_max_num_queries):
    dicomweb.store(scanner, dicomweb.body(dicomweb.file(modality.image(0))))
    files = [dicomweb.file(modality.image(number)) for number in range(1, 16)]
    with django_assert_max_num_queries(30):
        assert dicomweb.store(scanner, dicomweb.body(*files)).status_code == 200
    assert Image.objects.count() == Study.objects.get().images.count() == 16


def test_rejected_instances_are_listed_with_the_reason(scanner, settings):
    good, large = dicomweb.file(modality.image()), dicomweb.file(modality.image(1, side=256))
    settings.MAX_IMAGE_BYTES = len(large) - 1
    others = [
        dicomweb.file(modality.image(2, SOPClassUID=CTImageStorage)),
        dicomweb.file(modality.image(3, syntax=MPEG2MPML, PixelData=modality.encapsulated(b"1234"))),
        dicomweb.file(modality.image(4, StudyInstanceUID=generate_uid())),
        dicomweb.file(modality.image(5, SeriesInstanceUID="no UID")),
    ]
    answer = dicomweb.store(
        scanner, dicomweb.body(good, *others, large, b"no DICOM"), f"/dicomweb/studies/{modality.STUDY}"
    )
    assert answer.status_code == 202
    assert dicomweb.reasons(answer) == [CLASS, SYNTAX, MISMATCH, CANNOT_UNDERSTAND]
    assert dicomweb.reasons(answer, "0008119A") == [CANNOT_UNDERSTAND, CANNOT_UNDERSTAND]
    assert Image.objects.count() == len(dicomweb.uids(answer)) == 1


@pytest.mark.parametrize("error", [OSError("full"), OperationalError("locked")])
def test_no_instance_is_reported_stored_unless_it_is(scanner, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(arrivals.storing, "store", fail)
    answer = dicomweb.store(scanner, dicomweb.body(dicomweb.file(modality.image())))
    assert (answer.status_code, dicomweb.reasons(answer)) == (409, [OUT_OF_RESOURCES])
    assert not Image.objects.exists()


def test_a_body_that_was_cut_off_is_refused_and_can_be_sent_again(scanner, problem):
    whole = dicomweb.body(*(dicomweb.file(modality.image(number)) for number in range(3)))
    problem(dicomweb.store(scanner, whole[:-100]), 400, "malformed_request")
    assert dicomweb.store(scanner, whole).status_code == 200
    assert Image.objects.count() == Instance.objects.count() == 3


def test_malformed_store_requests_are_refused(scanner, problem, settings):
    whole = dicomweb.body(dicomweb.file(modality.image()))
    for kind in ("application/dicom", 'multipart/related; type="application/dicom+json"; boundary=x', "text/plain"):
        problem(dicomweb.store(scanner, whole, kind=kind), 415, "unsupported_request_format")
    problem(dicomweb.store(scanner, dicomweb.body()), 400, "malformed_request")
    answer = dicomweb.store(scanner, whole, Accept="application/dicom+xml")
    problem(answer, 406, "representation_not_available")
    settings.MAX_STUDY_FILES = 2
    problem(dicomweb.store(scanner, dicomweb.body(*[b"x"] * 3)), 413, "too_many_files")
    assert not Image.objects.exists()


def test_only_uploaders_of_a_department_can_store(client, scanner, make_department, user, new_client, problem):
    whole = dicomweb.body(dicomweb.file(modality.image()))
    problem(dicomweb.store(client, whole), 401, "not_authenticated")
    second = make_department("surgery", reader=user)
    answer = dicomweb.store(scanner, whole, f"/dicomweb/studies?department={second.slug}")
    problem(answer, 403, "not_an_uploader")
    make_department("cardiology", uploader=user)
    problem(dicomweb.store(scanner, whole), 403, "not_an_uploader")
    assert dicomweb.store(scanner, whole, "/dicomweb/studies?department=cardiology").status_code == 200
    assert Image.objects.get().department.slug == "cardiology"


def test_the_listener_and_stow_accept_the_same_sop_classes():
    class Entity(list):
        def add_supported_context(self, *context, **roles):
            self.append(context)

    entity = Entity()
    contexts.add_to(entity)
    assert {context[0] for context in entity} - {contexts.VERIFICATION, committing.CLASS} == set(CLASSES)
    assert ExplicitVRLittleEndian in SYNTAXES
