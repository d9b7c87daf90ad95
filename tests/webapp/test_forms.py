"""Multipart forms: the service lists every file that was sent, or refuses the whole request."""

import io

import pytest
from django.http.multipartparser import MultiPartParserError
from multipart import PushMultipartParser

from tests.webapp.clients import IMAGES, JPEG, STUDIES
from webapp.http import forms
from webapp.studies.models import Image, Patient, Study

HTML = {"Accept": "text/html"}
END = b"--x--\r\n"


def part(disposition: bytes, content: bytes = JPEG, *headers: bytes) -> bytes:
    lines = [b"--x", b"Content-Disposition: form-data; " + disposition, *headers, b"", content, b""]
    return b"\r\n".join(lines)


def file(filename: bytes, content: bytes = JPEG, *headers: bytes) -> bytes:
    return part(b'name="files"; filename="' + filename + b'"', content, *headers)


def field(name: str, content: bytes, *headers: bytes) -> bytes:
    return part(b'name="%s"' % name.encode(), content, *headers)


GOOD = file(b"good.jpg")
CHARSET = b"Content-Type: text/plain; charset="


def send(client, body: bytes, url: str = STUDIES, headers: dict[str, str] | None = None):
    return client.post(url, body, content_type="multipart/form-data; boundary=x", headers=headers)


#: The name of a file in a form, and the name in the list.
NAMES = [
    (b'filename="b.jpg"', "b.jpg"),
    ('filename="Röntgen.jpg"'.encode(), "Röntgen.jpg"),
    ('filename="Röntgen.jpg"'.encode("latin-1"), "Röntgen.jpg"),
    ('filename="胸部.jpg"'.encode("shift_jis"), "胸部.jpg"),
    ('filename="胸部.jpg"'.encode("gbk"), "胸部.jpg"),
    ('filename="表示.jpg"'.encode("cp932"), "表示.jpg"),
    ('filename="肺表"'.encode("cp932"), "肺表"),  # its last byte is a backslash
    ('filename="Снимок грудной клетки.jpg"'.encode("cp1251"), "Снимок грудной клетки.jpg"),
    ('filename="Zdjęcie płuc.jpg"'.encode("cp1250"), "Zdjęcie płuc.jpg"),
    ('filename="Thorax – Größe.jpg"'.encode("cp1252"), "Thorax – Größe.jpg"),
    (b"filename*=unheard-of''%8B%B9%95%94.jpg", "胸部.jpg"),
    (b'filename="\x81\xff.jpg"', "Ѓя.jpg"),  # valid in no likely encoding: any text will do
    (b"filename*=UTF-8''R%C3%B6ntgen.jpg", "Röntgen.jpg"),
    (b"filename*=ISO-8859-1''R%F6ntgen.jpg", "Röntgen.jpg"),
    (b"filename*=Shift_JIS''%8B%B9%95%94.jpg", "胸部.jpg"),
    (b"filename*=unheard-of''a.jpg", "a.jpg"),
    (b"filename*=undefined''a.jpg", "a.jpg"),
    (b"filename=\"filename*=utf-8''a.jpg\"", "filename*=utf-8''a.jpg"),
    (b"filename=\"old.jpg\"; filename*=UTF-8''new.jpg", "new.jpg"),
    (b'filename="folder/b.jpg"', "b.jpg"),
    (rb'filename="C:\folder\b.jpg"', "b.jpg"),
    (b'filename="say %22aah%22.jpg"', 'say "aah".jpg'),
    (b'filename="a\x00b.jpg"', "ab.jpg"),
    ('filename="10.00\u202fAM.jpg"'.encode(), "10.00\u202fAM.jpg"),
    (b'filename="a%0D%0Ab.jpg"', "ab.jpg"),
    (b'filename=""', "unnamed"),
    (b'filename="folder/"', "unnamed"),
    (b'filename=".."', "unnamed"),
    (b'filename="' + b"a" * 2000 + b'.jpg"', "a" * 251 + ".jpg"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("memory", "disposition", "listed"),
    [*((2**22, *name) for name in NAMES), *((0, *name) for name in NAMES[::6])],  # some are written to disk
)
def test_a_file_is_listed_whatever_its_name(client, settings, memory, disposition, listed):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = memory
    answer = send(client, GOOD + part(b'name="files"; ' + disposition) + END)
    assert answer.status_code == 202, answer.content
    assert answer.json()["total"] == 2
    assert sorted(Image.objects.values_list("filename", flat=True)) == sorted(["good.jpg", listed])
    assert all(image.file.read() == JPEG for image in Image.objects.all())


#: Forms with a part that is missing, unreadable, or would have to be left out.
REFUSED = {
    "no last boundary": GOOD + file(b"b.jpg"),
    "cut in a file": (GOOD + file(b"b.jpg"))[:-500],
    "cut in a header": GOOD + file(b"b.jpg")[:40],
    "cut in the last boundary": GOOD + END[:4],
    "a part after the end": GOOD + END + GOOD + END,
    "no disposition": GOOD + b"--x\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG + b"\r\n" + END,
    "an invalid header": GOOD + b"--x\r\nnonsense\r\n\r\n" + JPEG + b"\r\n" + END,
    "no name": GOOD + part(b'filename="b.jpg"') + END,
    "another name": GOOD + part(b'name="image"; filename="b.jpg"') + END,
    "a name with brackets": GOOD + part(b'name="files[]"; filename="b.jpg"') + END,
    "a name that is not UTF-8": GOOD + part(b'name="f\xfc"; filename="b.jpg"') + END,
    "a field in an unknown character set": GOOD + field("name", b"a", CHARSET + b"undefined") + END,
    "half a character": GOOD + field("name", b"+2AA-", CHARSET + b"utf-7") + END,
    "a file sent as a field": GOOD + field("files", JPEG) + END,
    "parts within a part": GOOD + field("files", file(b"b.jpg"), b"Content-Type: multipart/mixed; boundary=y") + END,
    "base64": GOOD + file(b"b.jpg", b"AAAA", b"Content-Transfer-Encoding: base64") + END,
    "lines that end with LF": GOOD + END.join([file(b"b.jpg").replace(b"\r\n", b"\n"), b""]),
    "another boundary": GOOD.replace(b"--x", b"--y") + b"--y--\r\n",
    "no boundary": JPEG,
    "an empty body": b"",
    "no parts": END,
}  # fmt: skip


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_a_form_that_would_lose_a_file_is_refused_as_a_whole(client, sent, settings, body):
    answer = send(client, body)
    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] in ("malformed_request", "invalid_request")
    page = send(client, body, "/upload/", HTML)
    assert page.status_code == 400
    assert page["Content-Type"].startswith("text/html")
    assert not Study.objects.exists()
    assert not Image.objects.exists()
    assert not list(settings.MEDIA_ROOT.rglob("*.*"))
    assert not sent.images


@pytest.mark.parametrize("suffix", [b"", b"epilogue", b"\r\n--", END, GOOD, GOOD + END, b"--x\r\n\r\n"])
def test_a_part_after_the_end_is_found_wherever_the_chunks_are_cut(monkeypatch, suffix):
    body = b"preamble\r\n" + field("name", b"content") + END + suffix

    def parse(size):
        monkeypatch.setattr(forms, "CHUNK", size)
        parser = PushMultipartParser(b"x")
        try:
            return b"".join(event for event in forms.events(parser, io.BytesIO(body), b"x") if isinstance(event, bytes))
        except MultiPartParserError as error:
            return str(error)

    expected = "There is a part after the end of the form." if b"--x" in suffix else b"content"
    assert {parse(size) for size in range(1, len(body) + 1)} == {expected}


def test_a_second_file_for_one_image_is_refused_and_not_dropped(client, problem):
    two = part(b'name="file"; filename="a.jpg"') + part(b'name="file"; filename="b.jpg"') + END
    assert "/api/v1/studies/" in problem(send(client, two, IMAGES), 400, "invalid_request")["detail"]
    other = part(b'name="file"; filename="a.jpg"') + file(b"b.jpg") + END
    assert "'file'" in problem(send(client, other, IMAGES), 400, "invalid_request")["detail"]
    assert not Image.objects.exists()


def test_two_patients_in_one_form_are_refused(client, problem):
    body = GOOD + field("patient", b"P-1") + field("patient", b"P-2") + END
    assert "patient" in problem(send(client, body), 400, "invalid_request")["detail"]


def test_the_character_set_of_a_patient_is_not_guessed(client, problem):
    problem(send(client, GOOD + field("patient", b"M\xfcller") + END), 400, "malformed_request")
    declared = field("patient", b"M\xfcller", b"Content-Type: text/plain; charset=ISO-8859-1")
    assert send(client, GOOD + declared + END).status_code == 202
    assert Patient.objects.get().identifier == "Müller"
    problem(send(client, GOOD + field("patient", b"x", b"Content-Type: text/plain; charset=no") + END), 400,
            "malformed_request")  # fmt: skip


def test_text_fields_count_towards_the_limits(client, problem, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    problem(send(client, GOOD + field("name", b"a" * 600) + field("other", b"b" * 600) + END), 413, "file_too_large")
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 3
    problem(send(client, GOOD + field("other", b"") * 4 + END), 400, "malformed_request")
    assert send(client, GOOD + field("other", b"") * 3 + END).status_code == 202


def test_the_page_says_that_no_file_was_chosen(client):
    body = part(b'name="files"; filename=""', b"", b"Content-Type: application/octet-stream") + END
    answer = send(client, body, "/upload/", HTML)
    assert answer.status_code == 400
    assert b"choose an image first" in answer.content


def test_an_empty_file_is_listed_with_the_reason_of_its_failure(client):
    body = GOOD + file(b"empty.jpg", b"") + part(b"name=\"files\"; filename*=UTF-8''leer.jpg", b"") + END
    assert send(client, body).json()["total"] == 3
    assert set(Image.objects.filter(error_code="file_empty").values_list("filename", flat=True)) == {
        "empty.jpg", "leer.jpg",
    }  # fmt: skip


def test_a_preamble_and_the_boundary_within_a_file_do_no_harm(client):
    content = JPEG + b"--x" + JPEG
    assert send(client, b"before\r\n" + file(b"a.jpg", content) + END + b"\r\n").json()["total"] == 1
    assert Image.objects.get().file.read() == content


def test_temporary_files_of_a_refused_form_are_deleted(client, settings, tmp_path):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "incoming")
    (tmp_path / "incoming").mkdir()
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 0
    assert send(client, GOOD + file(b"b.jpg")).status_code == 400
    assert not list((tmp_path / "incoming").iterdir())
