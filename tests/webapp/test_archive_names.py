"""Names of files, studies and patients, in any encoding and Unicode form."""

import unicodedata

import pytest

from tests.webapp.clients import JPEG, PNG
from tests.zips import UTF8, File, build, unicode_path
from webapp.studies.files import names, zip_names
from webapp.studies.models import Image, Patient, Study


@pytest.fixture
def unpack(client, unpack_all):
    """Upload a ZIP and unpack it. Return the error code of each image by its name."""

    def run(*files, **options):
        answer = client.upload_study({"study.zip": build(*files, **options)})
        assert answer.status_code == 202, answer.content
        unpack_all()
        return dict(Image.objects.values_list("filename", "error_code"))

    return run


# --- encodings --------------------------------------------------------------------------------------------------------

NAMES_BY_ENCODING = [
    ("cp932", ["胸部X線/患者１_正面.jpg", "山田太郎_レントゲン.jpg", "ソース表示.png"]),
    ("gbk", ["胸部X光/患者一.jpg", "张伟_胸片_2024.jpg"]),
    ("big5", ["胸部X光/病人.jpg", "王小明_胸片.jpg"]),
    ("cp949", ["흉부/환자1.jpg", "김철수_엑스레이.jpg"]),
    ("cp850", ["Röntgen/Müller_Thorax.jpg", "Größe.jpg", "poumon gauche, été.jpg", "Ørsted.jpg"]),
    ("cp437", ["Röntgen/Müller_Thorax.jpg"]),
    ("cp1252", ["Röntgen/Müller_Thorax.jpg", "Été.jpg"]),
    ("cp1250", ["Zdjęcie_płuc.jpg", "Šárka Nováková hrudník.jpg", "Dvořák.jpg"]),
    ("cp852", ["Zdjęcie_płuc.jpg", "Šárka Nováková hrudník.jpg"]),
    ("cp866", ["Снимок грудной клетки/Иванов.jpg", "лёгкие.png"]),
    ("cp1251", ["Снимок грудной клетки/Иванов.jpg", "лёгкие.png"]),
    ("koi8-r", ["Снимок грудной клетки/Иванов.jpg", "лёгкие.png"]),
    ("euc-jp", ["胸部X線/患者１_正面.jpg", "山田太郎_レントゲン.jpg"]),
    ("cp737", ["ακτινογραφία θώρακος.jpg", "Παπαδόπουλος.jpg"]),
    ("cp1253", ["ακτινογραφία θώρακος.jpg", "Παπαδόπουλος.jpg"]),
    ("cp857", ["akciğer grafisi.jpg", "Yılmaz Şükrü.jpg"]),
    ("cp862", ["צילום חזה.jpg"]),
    ("cp1256", ["أشعة الصدر.jpg"]),
    ("cp874", ["เอกซเรย์ทรวงอก.jpg"]),
    ("cp869", ["ακτινογραφία.jpg"]),
    ("cp1254", ["akciğer grafisi.jpg", "Yılmaz Şükrü.jpg", "Göğüs röntgeni Işık.jpg"]),
    ("cp1255", ["צילום חזה.jpg", "רנטגן.jpg"]),
    ("cp860", ["Radiografia do tórax João.jpg", "pulmão esquerdo.jpg", "Conceição.jpg"]),
    ("cp775", ["krūtinės ląstos.jpg"]),
    ("cp1257", ["krūtinės ląstos.jpg", "Šešėlis Žąsis.jpg"]),
    ("iso8859-2", ["Zdjęcie_płuc.jpg", "Šárka Nováková hrudník.jpg", "Łódź szpital Ślązak.jpg"]),
    ("iso8859-5", ["Снимок грудной клетки.jpg"]),
    ("cp855", ["Снимок грудной клетки.jpg"]),
    ("mac-cyrillic", ["Снимок грудной клетки.jpg"]),
    ("mac-roman", ["Röntgen Müller.jpg", "Größe.jpg", "Été poumon.jpg", "João Conceição.jpg"]),
]


@pytest.mark.parametrize(("encoding", "spoken"), NAMES_BY_ENCODING, ids=[encoding for encoding, _ in NAMES_BY_ENCODING])
def test_names_in_a_zip_are_decoded_with_the_encoding_of_the_computer_that_made_it(encoding, spoken):
    assert zip_names.decode([(name.encode(encoding), b"") for name in spoken]) == spoken


@pytest.mark.parametrize("name", ["Müller.jpg", "Größe.jpg", "胸部.jpg", "é.jpg"])
def test_one_short_name_is_enough_to_detect_its_encoding(name):
    encoding = "gbk" if ord(name[0]) > 0x3000 else "cp850"
    assert zip_names.decode([(name.encode(encoding), b"")]) == [name]


def test_unmarked_decomposed_utf8_names_of_finder_are_read(unpack):
    name = "Röntgen/Jürgen Größe.jpg"
    decomposed = unicodedata.normalize("NFD", name)
    assert decomposed != name
    assert unpack(File(decomposed.encode(), JPEG, system=3)) == {name: ""}


def test_a_name_wrongly_marked_as_utf8_fails_neither_the_zip_nor_its_file(unpack):
    files = [File("肺.jpg".encode(), JPEG, UTF8), File("Müller.jpg".encode("cp850"), JPEG, UTF8), File(b"c.jpg", PNG)]
    assert unpack(*files) == {"肺.jpg": "", "Müller.jpg": "", "c.jpg": ""}


def test_a_name_in_no_known_encoding_becomes_some_text(unpack):
    listed = unpack(File(b"\xff\xfe\x80\xff.jpg", JPEG), File(b"b.jpg", JPEG))
    assert len(listed) == 2
    assert set(listed.values()) == {""}
    assert all(name.endswith(".jpg") for name in listed)


def test_the_name_in_the_extra_field_is_used(unpack):
    name = b"?????.jpg"
    assert unpack(File(name, JPEG, extra=unicode_path(name, "レントゲン.jpg"))) == {"レントゲン.jpg": ""}


def test_the_extra_field_of_a_renamed_file_is_ignored(unpack):
    assert unpack(File(b"b.jpg", JPEG, extra=unicode_path(b"a.jpg", "a.jpg"))) == {"b.jpg": ""}


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"ward\\a.jpg", "ward/a.jpg"),
        (b"C:\\scans\\a.jpg", "scans/a.jpg"),
        (b"\\\\server\\scans\\a.jpg", "server/scans/a.jpg"),
        (b"..\\..\\windows\\a.jpg", "windows/a.jpg"),
        (b"/etc/a.jpg", "etc/a.jpg"),
        (b"a/./b//../c.jpg", "a/b/c.jpg"),
        (b"a\nb\x00c.jpg", "a b c.jpg"),
        ("photo\u202egpj.exe".encode(), "photogpj.exe"),
        (b"\x01\x02", "unnamed"),
        (b"..\x01/a.jpg", "unnamed/a.jpg"),
        (b"ward/ /\x7f", "ward/unnamed/unnamed"),
    ],
)
def test_a_path_becomes_a_harmless_relative_path(unpack, path, name):
    assert unpack(File(path, JPEG)) == {name: ""}


def test_the_end_of_a_long_name_is_kept(unpack):
    (name,) = unpack(File(b"x" * 700 + b"/0001.jpg", JPEG))
    assert len(name) == 255
    assert name.endswith("x/0001.jpg")


def test_folders_are_not_images_however_they_are_marked(unpack):
    folders = [File(b"a/", method=0), File(b"b\\", method=0), File(b"c", method=0, attributes=0x10)]
    folders += [File(b"e", method=0, attributes=0o40755 << 16, system=3)]
    assert unpack(*folders, File(b"d.jpg/", JPEG)) == {"d.jpg": ""}


def test_files_with_the_same_name_are_all_read(unpack):
    unpack(File(b"a.jpg", JPEG), File(b"A/../a.jpg", JPEG), File(b"a.jpg", PNG))
    assert Image.objects.filter(error_code="").count() == 3


# --- litter -----------------------------------------------------------------------------------------------------------

LITTER = [
    b"Thumbs.db", b"THUMBS.DB", b"x/thumbs.db", b"Desktop.ini", b"desktop.ini", b"Icon\r", b"a/Icon\r", b"._a.jpg",
    b"__MACOSX/._a.jpg", b"__macosx/a.jpg", b".DS_Store", b"a\\.ds_store", b"a.jpg:Zone.Identifier",
    b"a.jpg_Zone.Identifier", b"ehthumbs.db", b"$RECYCLE.BIN/a.jpg", b"System Volume Information/x", b"@eaDir/a.jpg",
    b".Trash-1000/files/a.jpg", b"#recycle/a.jpg", b".@__thumb/a.jpg", b"RECYCLER/S-1-5/a.jpg",
    b"Network Trash Folder/a.jpg", b"Thumbs.db:encryptable", b"a.jpg:Zone.Identifier:$DATA", b"~$letter.docx",
    b"a.jpg%3AZone.Identifier", "Icon\uf00d".encode(),
]  # fmt: skip


def test_litter_is_not_an_image(unpack):
    assert unpack(*(File(name, b"litter") for name in LITTER), File(b"a.jpg", JPEG)) == {"a.jpg": ""}


@pytest.mark.parametrize(
    "name",
    [
        "Thumbs.jpg",
        "desktop.init.png",
        "icon.png",
        "Icon",
        "Trash-1/a.jpg",
        "recycle/a.jpg",
        "~a.jpg",
        "a:b.jpg",
        "zone.jpg",
        ".jpg",
        ".hidden.dcm",
        "a/b__MACOSX.jpg",
    ],
)
def test_a_name_that_only_resembles_litter_is_not_litter(name):
    assert not names.is_litter(name)


def test_loose_litter_among_images_is_skipped_and_named(client):
    loose = {
        "a.jpg": JPEG,
        "Thumbs.db": b"\xd0\xcf\x11\xe0",
        "DESKTOP.INI": b"[x]",
        ".DS_Store": b"\0\0\0\1",
        "Icon": b"",
    }
    answer = client.upload_study(loose)
    assert answer.json()["total"] == 1
    assert answer.json()["skipped"] == ["Thumbs.db", "DESKTOP.INI", ".DS_Store", "Icon"]
    assert list(Image.objects.values_list("filename", flat=True)) == ["a.jpg"]


def test_an_image_is_read_even_if_it_is_named_like_litter(client):
    answer = client.upload_study({".hidden.jpg": JPEG, "Thumbs.db": PNG})
    assert (answer.json()["total"], answer.json().get("skipped")) == (2, None)


def test_litter_uploaded_alone_is_listed_as_failed(client):
    answer = client.upload_study({"Thumbs.db": b"\xd0\xcf\x11\xe0"})
    assert (answer.json()["total"], answer.json().get("skipped")) == (1, None)
    assert Image.objects.get().error_code == "not_an_image"


# --- uploads and fields -----------------------------------------------------------------------------------------------

DECOMPOSED, COMPOSED = unicodedata.normalize("NFD", "Müller Å"), "Müller Å"


def test_names_and_patients_are_stored_in_one_unicode_form(client):
    first = client.upload(filename=f"{DECOMPOSED}.jpg", patient=DECOMPOSED).json()
    second = client.upload(filename=f"{COMPOSED}.jpg", patient=COMPOSED, headers={"X-Job-Token": first["token"]}).json()
    assert {first["filename"], second["filename"]} == {f"{COMPOSED}.jpg"}
    assert [first["patient"], second["patient"]] == [COMPOSED, COMPOSED]
    assert Patient.objects.count() == 1


def test_a_studys_name_and_patient_are_stored_in_one_unicode_form(client):
    study = client.upload_study({"a.jpg": JPEG}, name=f" {DECOMPOSED}\u202e", patient=f"{DECOMPOSED}\u200f").json()
    assert (study["name"], study["patient"]) == (COMPOSED, COMPOSED)
    assert Study.objects.get().name == COMPOSED


@pytest.mark.parametrize("parameter", ["search", "patient"])
def test_a_list_finds_a_patient_in_either_unicode_form(client, parameter):
    client.upload(patient=COMPOSED)
    answer = client.get("/api/v1/images/", {parameter: DECOMPOSED})
    assert len(answer.json()["results"]) == 1


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "é" * 400 + ".jpg"])
def test_a_file_with_a_long_name_is_accepted(client, name):
    answer = client.upload(filename=name)
    assert answer.status_code == 202
    assert len(answer.json()["filename"]) <= 255
    assert answer.json()["filename"].endswith(".jpg")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("", ""), ("  ", ""), ("a\x00b", "a b"), ("\u202eabc\u2069", "abc"), ("\ud800", "\ufffd"), ("a\r\n", "a"),
        ("\ufeffa", "a"), ("क्\u200dष", "क्\u200dष"),
    ],
)  # fmt: skip
def test_cleaning_a_name(text, cleaned):
    assert names.clean(text) == cleaned


def test_a_name_is_never_empty_nor_too_long():
    assert names.filename("\u202e") == "unnamed"
    assert len(names.filename("y" * 1000)) == 255
