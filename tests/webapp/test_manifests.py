"""Manifests: which file belongs to which patient, in every format of the table and wherever it is stored."""

import io
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.webapp.clients import JPEG
from webapp.refusals import Refused
from webapp.studies.files import manifests
from webapp.studies.models import Archive, Image, Patient, Study
from webapp.studies.particulars import Particulars
from webapp.studies.services import archives

TABLE = """file,patient,age,sex,view,comment
a.jpg,P-1,2.5,F,PA,coughs
b.jpg,P-2,8,m,AP,
"""


def zip_of(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def descriptions():
    """What the service has stored about each file."""
    return {
        image.filename: (image.patient and image.patient.identifier, image.age_years, image.view, image.comment)
        for image in Image.objects.select_related("patient")
    }


EXPECTED = {"a.jpg": ("P-1", 2.5, "PA", "coughs"), "b.jpg": ("P-2", 8.0, "AP", None)}


# --- reading a table ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("utf-16"),
        TABLE.replace(",", ";").replace("2.5", "2,5").encode("cp1252"),
        TABLE.replace(",", "\t").encode(),
        TABLE.replace("\n", "\r\n").encode(),
        ("sep=;\n" + TABLE.replace(",", ";")).encode(),
        TABLE.replace("file,patient", " File ,PATIENT").encode(),
        TABLE.replace("a.jpg", '"a.jpg"').encode() + b",,,,,\n\n",
    ],
)
def test_a_table_is_read_in_every_format_that_spreadsheets_write(content):
    first, second = manifests.read(content).rows
    assert (first.file, first.particulars) == ("a.jpg", Particulars("P-1", 2.5, "F", "PA", "coughs"))
    assert (second.file, second.particulars) == ("b.jpg", Particulars("P-2", 8, "M", "AP", ""))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_letters_of_other_languages_are_kept(encoding):
    names = "Müller, Jürgen; Köhler, Käthe; Weiß, Björn; Grün, Hänsel"
    content = f"file;comment\nbärbel.jpg;{names.replace(';', ' und')}\n".encode(encoding)
    [row] = manifests.read(content).rows
    assert row.file == "bärbel.jpg"
    assert row.particulars.comment.startswith("Müller, Jürgen und Köhler")


def test_unusable_values_are_reported_and_the_rest_is_used():
    lines = [
        "file,age,sex,view,ward,patient",
        f"a.jpg,old,?,sideways,3,{'P' * 129}",
        "b.jpg,200,F,unknown,4,",
        "c.jpg,nan,,lat,,P-1",
    ]
    found = manifests.read("\n".join(lines).encode())
    assert [row.particulars for row in found.rows] == [
        Particulars(), Particulars(sex="F"), Particulars("P-1", view="lateral"),
    ]  # fmt: skip
    details = {warning["code"]: warning["detail"] for warning in found.warnings}
    assert set(details) == {"manifest_column_unknown", "manifest_value_invalid", "manifest_sex_without_patient"}
    assert "ward" in details["manifest_column_unknown"]
    for part in (
        "age “old” in row 2",
        "view “sideways” in row 2",
        "age “200” in row 3",
        "age “nan” in row 4",
        "patient “PPP",
    ):
        assert part in details["manifest_value_invalid"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "manifest_unreadable"),
        (b"name,patient\na.jpg,P-1\n", "manifest_unreadable"),
        (b'file,patient\n"a.jpg,P-1\n', "manifest_unreadable"),
        (JPEG, "manifest_unreadable"),
        (b"file\n" + b"a" * 200_000, "manifest_unreadable"),
        (b"x" * (manifests.MAX_BYTES + 1), "manifest_too_large"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_a_code(content, code):
    with pytest.raises(Refused) as refused:
        manifests.read(content)
    assert refused.value.code == code


# --- where the manifest is ------------------------------------------------------------------------------------------


def test_a_manifest_next_to_the_files(client):
    study = client.upload_study({"a.jpg": JPEG, "Manifest.CSV": TABLE.encode(), "b.jpg": JPEG}).json()
    assert descriptions() == EXPECTED
    assert study["total"] == 2
    assert study["manifest"] == {
        "rows": 2, "files": 2, "rows_without_file": {"count": 0, "names": []},
        "files_without_row": {"count": 0, "names": []}, "warnings": [], "errors": [],
    }  # fmt: skip
    assert set(Patient.objects.values_list("identifier", "sex")) == {("P-1", "F"), ("P-2", "M")}
    assert len({Study.objects.get().guest, *Patient.objects.values_list("guest", flat=True)}) == 1
    assert client.get(study["url"]).json()["manifest"] == study["manifest"]


@pytest.mark.parametrize("folder", ["", "ward 3/", "export/ward 3/"])
def test_a_manifest_in_a_zip(client, unpack_all, folder):
    content = zip_of({f"{folder}{name}": data for name, data in
                      {"a.jpg": JPEG, "MANIFEST.csv": TABLE, "b.jpg": JPEG}.items()})  # fmt: skip
    study = client.upload_study({"x.zip": content}).json()
    assert (study["total"], study["manifest"]["files"]) == (2, 2)
    assert unpack_all() == 2
    assert descriptions() == {f"{folder}{name}": row for name, row in EXPECTED.items()}
    assert Archive.objects.get().particulars is None, "the descriptions are dropped after use"


def test_a_manifest_next_to_several_zips_describes_all_of_them(client, unpack_all):
    files = {"one.zip": zip_of({"a.jpg": JPEG}), "two.zip": zip_of({"b.jpg": JPEG}), "manifest.csv": TABLE.encode()}
    client.upload_study(files)
    for _ in range(2):
        unpack_all()
    assert descriptions() == EXPECTED


def test_a_manifest_in_a_zip_takes_precedence_over_the_one_next_to_it(client, unpack_all):
    own = zip_of({"a.jpg": JPEG, "b.jpg": JPEG, "manifest.csv": "file,patient\na.jpg,OWN\n"})
    study = client.upload_study({"x.zip": own, "manifest.csv": TABLE.encode()}).json()
    unpack_all()
    assert descriptions() == {"a.jpg": ("OWN", None, None, None), "b.jpg": EXPECTED["b.jpg"]}
    assert (study["manifest"]["rows"], study["manifest"]["files"]) == (3, 2)


def test_a_manifest_alone_is_treated_as_a_file_that_is_no_image(client):
    study = client.upload_study({"manifest.csv": TABLE.encode()}).json()
    assert (study["manifest"], study["counts"]["failed"]) == (None, 1)


def test_files_that_are_added_have_their_own_manifest(client):
    study = client.upload_study({"a.jpg": JPEG, "manifest.csv": TABLE.encode()}).json()
    assert study["manifest"]["rows_without_file"] == {"count": 1, "names": ["b.jpg"]}
    sent = [SimpleUploadedFile("b.jpg", JPEG), SimpleUploadedFile("manifest.csv", TABLE.encode())]
    added = client.post(study["images_url"], {"files": sent}).json()
    assert descriptions() == EXPECTED
    assert added["manifest"]["rows_without_file"] == {"count": 2, "names": ["b.jpg", "a.jpg"]}
    assert (added["manifest"]["rows"], added["manifest"]["files"]) == (4, 2)


# --- which file a row means -----------------------------------------------------------------------------------------


def upload_with_manifest(client, table, names):
    files = {"manifest.csv": f"file,patient\n{table}".encode(), **dict.fromkeys(names, JPEG)}
    study = client.upload_study(files).json()
    return {name: row[0] for name, row in descriptions().items() if row[0]}, study["manifest"]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("A.JPG", "a.jpg"),
        ("ward/a.jpg", "ward \u2013 a.jpg"),
        ("ward\\a.jpg", "ward \u2013 a.jpg"),
        ("C:\\ward\\a.jpg", "ward \u2013 a.jpg"),
        ("./ward/a.jpg", "a.jpg"),
        ("a.jpg", "ward \u2013 a.jpg"),
        ("ba\u0308r.jpg", "b\u00e4r.jpg"),
    ],
)
def test_a_row_finds_its_file(client, row, name):
    found, report = upload_with_manifest(client, f"{row},P-1\n", [name])
    assert found == {name: "P-1"}
    assert report["warnings"] == []


@pytest.mark.parametrize(
    ("table", "names", "code"),
    [
        ("a.jpg,P-1\n", ["one \u2013 a.jpg", "two \u2013 a.jpg"], "manifest_row_ambiguous"),
        ("a.jpg,P-1\na.jpg,P-2\n", ["a.jpg"], "manifest_file_repeated"),
        ("one/a.jpg,P-1\ntwo/a.jpg,P-2\n", ["a.jpg"], "manifest_file_repeated"),
    ],
)
def test_no_row_is_used_for_an_ambiguous_file(client, table, names, code):
    found, report = upload_with_manifest(client, table, names)
    assert found == {}
    assert [warning["code"] for warning in report["warnings"]] == [code]
    assert report["files_without_row"]["count"] == len(names)


def test_a_row_for_another_folder_is_not_used(client):
    found, report = upload_with_manifest(client, "one/a.jpg,P-1\n", ["two \u2013 a.jpg"])
    assert found == {}
    assert report["rows_without_file"] == {"count": 1, "names": ["one/a.jpg"]}


def test_a_row_means_the_file_in_the_fewest_folders(client):
    found, _ = upload_with_manifest(client, "a.jpg,P-1\n", ["a.jpg", "old \u2013 a.jpg"])
    assert found == {"a.jpg": "P-1"}


def test_each_folder_can_have_its_own_manifest(client):
    tables = {f"{ward} \u2013 manifest.csv": f"file,patient\na.jpg,P-{ward}\n".encode() for ward in "12"}
    client.upload_study({"1 \u2013 a.jpg": JPEG, "2 \u2013 a.jpg": JPEG, **tables})
    assert {name: row[0] for name, row in descriptions().items()} == {"1 \u2013 a.jpg": "P-1", "2 \u2013 a.jpg": "P-2"}


def test_a_repeated_row_is_used_without_a_warning(client):
    found, report = upload_with_manifest(client, "a.jpg,P-1\na.jpg,P-1\n", ["a.jpg"])
    assert (found, report["warnings"]) == ({"a.jpg": "P-1"}, [])


def test_rows_without_a_file_and_files_without_a_row_are_counted_and_named(client):
    rows = "".join(f"none-{number:02}.jpg,P\n" for number in range(30))
    _, report = upload_with_manifest(client, rows + ",P\n", ["a.jpg", "b.jpg"])
    assert report["rows_without_file"]["count"] == 31
    assert report["rows_without_file"]["names"] == [f"none-{number:02}.jpg" for number in range(20)]
    assert report["files_without_row"] == {"count": 2, "names": ["a.jpg", "b.jpg"]}


# --- defaults, conflicts and damaged manifests ----------------------------------------------------------------------


def test_missing_fields_of_a_row_come_from_the_study(client, unpack_all):
    table = "file,age\na.jpg,3\n"
    files = {"x.zip": zip_of({"a.jpg": JPEG, "b.jpg": JPEG, "manifest.csv": table}), "c.jpg": JPEG}
    client.upload_study(files, patient="P-0", age="4.5", view="AP")
    unpack_all()
    assert descriptions() == {
        "a.jpg": ("P-0", 3.0, "AP", None), "b.jpg": ("P-0", 4.5, "AP", None), "c.jpg": ("P-0", 4.5, "AP", None),
    }  # fmt: skip


def test_a_known_sex_is_kept_and_the_difference_is_reported(client, user, user_client):
    Patient.objects.create(owner=user, identifier="P-1", sex="M")
    Patient.objects.create(owner=user, identifier="P-2")
    study = user_client.upload_study({"a.jpg": JPEG, "b.jpg": JPEG, "manifest.csv": TABLE.encode()}).json()
    assert set(Patient.objects.values_list("identifier", "sex")) == {("P-1", "M"), ("P-2", "M")}
    [warning] = study["manifest"]["warnings"]
    assert (warning["code"], "P-1" in warning["detail"]) == ("manifest_sex_differs", True)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"no table", "manifest_unreadable"), (b"x" * (manifests.MAX_BYTES + 1), "manifest_too_large")],
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_manifest_that_cannot_be_read_has_a_code_and_the_images_are_read(
    client, unpack_all, sent, content, code, packed
):
    files = {"a.jpg": JPEG, "manifest.csv": content}
    study = client.upload_study({"x.zip": zip_of(files)} if packed else files).json()
    [error] = study["manifest"]["errors"]
    assert (error["filename"], error["code"]) == ("x.zip" if packed else "manifest.csv", code)
    if packed:
        unpack_all()
    assert [image.status for image in Image.objects.all()] == ["queued"]
    assert len(sent.images) == 1


def test_a_damaged_manifest_in_a_zip_is_reported(client, unpack_all):
    content = zip_of({"a.jpg": JPEG, "manifest.csv": TABLE})
    at = content.index(TABLE.encode())
    study = client.upload_study({"x.zip": content[:at] + b"FILE" + content[at + 4 :]}).json()
    assert [error["code"] for error in study["manifest"]["errors"]] == ["image_corrupt"]
    assert unpack_all() == 1


def test_a_repeated_chunk_uses_the_same_descriptions(client, unpack_all, monkeypatch, settings):
    settings.UNPACK_CHUNK_FILES = 1
    client.upload_study({"x.zip": zip_of({"a.jpg": JPEG, "b.jpg": JPEG, "manifest.csv": TABLE})})
    real, died = archives._write_chunk, []

    def die_once(*args, **more):
        if not died:
            died.append(True)
            raise OSError("the storage is away")
        return real(*args, **more)

    monkeypatch.setattr(archives, "_write_chunk", die_once)
    with pytest.raises(OSError, match="away"):
        archives.unpack()
    assert unpack_all() == 2
    assert descriptions() == EXPECTED
    assert Patient.objects.count() == 2


def test_a_long_manifest_takes_few_queries(user_client, statements):
    table = "file,patient,age\n" + "".join(f"{number}.jpg,P-{number},3\n" for number in range(600))
    files = {f"{number}.jpg": JPEG for number in range(3)} | {"manifest.csv": table.encode()}
    counts = []
    for _ in range(2):
        statements.clear()
        user_client.upload_study(files)
        counts.append(len(statements))
    assert Patient.objects.count() == 3
    assert max(counts) < 30, counts
