"""Uploads in parts: what is sent, what is not sent again, what is refused."""

import os
import re
from pathlib import Path

import httpx
import pytest
from pneumoqueue import sending
from pneumoqueue.cli import main
from pneumoqueue.errors import ClientError
from pneumoqueue.files import Body, found
from pneumoqueue.journal import Journal

from tests.client.conftest import problem

pytestmark = pytest.mark.usefixtures("signed_in")
ALL = ["0.jpg", "0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"]
FIRST = "00000000-0000-4000-8000-000000000000"


def send(folder, *options):
    return main(["upload", str(folder), "--part-files", "2", *options])


def stored_names(fake_server):
    return sorted(name for names in fake_server.studies.values() for name in names)


def test_a_folder_becomes_one_study_in_parts(fake_server, folder, capsys):
    assert send(folder, "--patient", "P1", "--department", "er") == 0
    assert stored_names(fake_server) == ALL
    assert fake_server.names == {FIRST: "ward"}
    assert [request.url.path for request in fake_server.posts()] == [
        "/api/v1/studies/", *[f"/api/v1/studies/{FIRST}/images/"] * 3,
    ]  # fmt: skip
    assert b"P1" in fake_server.bodies[0]
    assert b"er" in fake_server.bodies[0]
    assert all(b"P1" not in body for body in fake_server.bodies[1:])
    printed = capsys.readouterr()
    assert printed.out == f"{FIRST}\n"
    assert "7 of 7 files sent" in printed.err


def test_age_and_view_are_sent_with_every_part(fake_server, folder):
    assert send(folder, "--patient", "P1", "--age", "2.5", "--view", "AP") == 0
    assert len(fake_server.bodies) == 4
    for body in fake_server.bodies:
        assert re.search(rb'name="age"\r\n\r\n2.5\r\n', body)
        assert re.search(rb'name="view"\r\n\r\nAP\r\n', body)
    # Age and view belong to the files: files with another age are added to the same study.
    (folder / "6.jpg").write_bytes(b"image 6")
    assert send(folder, "--patient", "P1", "--age", "4") == 0
    assert list(fake_server.studies) == [FIRST]
    assert re.search(rb'name="age"\r\n\r\n4.0\r\n', fake_server.bodies[-1])
    assert b'name="view"' not in fake_server.bodies[-1]


@pytest.mark.parametrize(
    "option", [("--age", "old"), ("--age", "-1"), ("--age", "131"), ("--age", "nan"), ("--view", "up")]
)
def test_an_invalid_age_or_view_is_wrong_usage(fake_server, folder, option):
    with pytest.raises(SystemExit) as ended:
        send(folder, *option)
    assert ended.value.code == 2
    assert fake_server.bodies == []


def test_uploaded_files_are_not_sent_again(fake_server, folder):
    assert send(folder) == send(folder) == 0
    assert stored_names(fake_server) == ALL


def test_new_files_are_added_to_the_study(fake_server, folder):
    send(folder)
    (folder / "6.jpg").write_bytes(b"image 6")
    (folder / "1.jpg").write_bytes(b"another image")
    assert send(folder) == 0
    assert stored_names(fake_server) == sorted([*ALL, "1.jpg", "6.jpg"])
    assert list(fake_server.studies) == [FIRST]


def test_a_folder_that_was_moved_or_touched_is_not_sent_again(fake_server, folder):
    send(folder, "--study", "x")
    for file in folder.glob("*.jpg"):
        os.utime(file, (1, 1))
    moved = folder.rename(folder.with_name("moved"))
    assert send(moved, "--study", "x") == 0
    assert stored_names(fake_server) == ALL


def test_folders_with_the_same_name_become_different_studies(fake_server, folder, tmp_path):
    other = tmp_path / "other" / "ward"
    other.mkdir(parents=True)
    (other / "0.jpg").write_bytes(b"image 0")
    assert send(folder) == send(other) == 0
    assert sorted(fake_server.names.values()) == ["ward", "ward"]


def test_new_makes_another_study(fake_server, folder):
    send(folder)
    assert send(folder, "--new") == 0
    assert stored_names(fake_server) == sorted(ALL * 2)


def test_a_deleted_study_is_sent_again(fake_server, folder):
    send(folder)
    fake_server.studies.pop(FIRST)
    fake_server.keys.clear()
    assert send(folder) == 0
    assert stored_names(fake_server) == ALL


def test_a_request_with_a_lost_answer_is_repeated_with_the_same_key(fake_server, folder):
    lost = iter([True, False, True])

    def lose_answers(request):
        if request.method == "POST" and next(lost, False):
            fake_server.answer(request, request.content)
            raise httpx.ReadError("")
        return

    fake_server.override = lose_answers
    assert send(folder) == 0
    assert stored_names(fake_server) == ALL


def test_an_upload_resumes_with_the_same_key_after_the_server_was_down(fake_server, folder, capsys):
    """The part may have arrived although its answer was lost."""

    def fail(request):
        if request.method == "POST" and len(fake_server.keys) == 2:
            fake_server.answer(request, request.content)
        if len(fake_server.keys) == 3:
            raise httpx.ConnectError("refused")
        return

    fake_server.override = fail
    assert send(folder) == 4
    assert "https://xray.example cannot be reached: refused." in capsys.readouterr().err
    fake_server.override = lambda request: None
    assert send(folder) == 0
    assert stored_names(fake_server) == ALL


def test_a_part_whose_files_have_changed_is_looked_up_on_the_server(fake_server, folder, monkeypatch):
    def fail(request):
        if request.method == "POST" and request.url.path.endswith("/images/"):
            fake_server.answer(request, request.content)
            raise httpx.ConnectError("refused")
        return

    fake_server.override = fail
    assert send(folder, "--patience", "0") == 4
    looked_up = []

    def look_up(server, journal, part):
        looked_up.append([item.file.name for item in part.items])
        return part.study

    monkeypatch.setattr(sending, "arrived", look_up)
    fake_server.override = lambda request: None
    (folder / "2.jpg").unlink()
    assert send(folder) == 0
    assert looked_up == [["2.jpg", "3.jpg"]]
    assert stored_names(fake_server) == ALL


def test_a_refused_file_does_not_stop_the_others(fake_server, folder, capsys):
    (folder / "bad.jpg").write_bytes(b"?")
    assert send(folder, "--part-files", "8") == 1
    assert stored_names(fake_server) == ALL
    assert "bad.jpg: This is archive_corrupt. (archive_corrupt)" in capsys.readouterr().err
    assert send(folder) == 1, "the file is still refused"
    assert stored_names(fake_server) == ALL


def test_a_full_study_is_followed_by_another(fake_server, folder):
    fake_server.limit = 3
    assert send(folder) == 0
    assert stored_names(fake_server) == ALL
    assert list(fake_server.names.values()) == ["ward", "ward (2)", "ward (3)"]
    assert send(folder) == 0
    assert stored_names(fake_server) == ALL


def test_a_zip_is_sent_alone(fake_server, folder):
    (folder / "a.zip").write_bytes(b"PK\3\4...")
    assert main(["upload", str(folder)]) == 0
    assert [len(names) for names, _ in fake_server.keys.values()] == [6, 1, 1]


def test_a_missing_permission_ends_the_upload(fake_server, folder, capsys):
    fake_server.override = lambda request: problem(403, "not_an_uploader") if request.method == "POST" else None
    assert send(folder) == 5
    assert "pneumoqueue: This is not_an_uploader. (not_an_uploader)" in capsys.readouterr().err
    assert len(fake_server.posts()) == 1


def test_an_expired_token_ends_the_upload(fake_server, folder):
    fake_server.override = lambda request: problem(401, "authentication_failed")
    assert send(folder) == 3


@pytest.mark.parametrize("arguments", [["upload"], ["nothing"], [], ["upload", "x", "--part-files", "0"]])
def test_wrong_arguments_are_wrong_usage(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_missing_files_are_wrong_usage(fake_server, tmp_path):
    assert send(tmp_path / "nothing") == 2
    (tmp_path / "empty").mkdir()
    assert send(tmp_path / "empty") == 2
    assert not fake_server.requests


def test_two_clients_cannot_use_one_journal_at_once(fake_server, folder):
    held = Journal("one")
    with pytest.raises(ClientError, match="Another pneumoqueue"):
        Journal("one")
    held.close()
    Journal("one").close()


def manifests(fake_server):
    """The sent manifest tables, each with the number of files in its request."""
    found = {}
    for body in fake_server.bodies:
        for table in re.findall(rb'filename="manifest.csv".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL):
            found[tuple(table.decode().splitlines())] = body.count(b"filename=")
    return found


def test_manifest_rows_are_sent_with_the_files_that_they_name(fake_server, folder, capsys):
    (folder / "manifest.csv").write_text("\ufefffile;patient\n1.jpg;P1\nbelow\\0.jpg;P0\nnone.jpg;P9\n", "utf-8")
    assert send(folder) == 0
    assert manifests(fake_server) == {("file,patient", "1.jpg,P1"): 3, ("file,patient", "0.jpg,P0"): 2}
    assert "The manifest names none.jpg, which is not among the files." in capsys.readouterr().err


def test_an_ambiguous_manifest_row_applies_to_no_file(fake_server, folder, capsys):
    (folder / "other").mkdir()
    for name in ("below/x.jpg", "other/x.jpg"):
        (folder / name).write_bytes(name.encode())
    (folder / "manifest.csv").write_text("file,patient\nx.jpg,P1\n0.jpg,P2\n")
    assert send(folder) == 0
    assert list(manifests(fake_server)) == [("file,patient", "0.jpg,P2")]
    assert "The manifest names x.jpg, which 2 files are called; none gets this row." in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-16"])
def test_manifests_in_the_encodings_of_spreadsheets_are_read(fake_server, folder, encoding):
    text = "sep=;\nFile;Patient;Comment\n1.JPG;Müller;Husten, für Übung größer\n"
    (folder / "manifest.csv").write_bytes(text.encode(encoding))
    assert send(folder) == 0
    assert list(manifests(fake_server)) == [("file,patient,comment", '1.jpg,Müller,"Husten, für Übung größer"')]


@pytest.mark.parametrize("text", ["name,patient\n", "", 'file,patient\n"1.jpg,P1\n'])
def test_a_manifest_that_cannot_be_read_is_wrong_usage(fake_server, folder, text):
    (folder / "manifest.csv").write_text(text)
    assert send(folder) == 2


def test_a_file_is_read_in_small_pieces(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    sizes: list[int] = []
    body = Body(found(tmp_path / "a", "a"), sizes.append)
    form = httpx.Request("POST", "http://x/", files=[("files", ("a", body))])
    assert int(form.headers["content-length"]) == len(form.read())
    assert max(sizes) <= 65536
    assert sum(sizes) == 100_000


def test_a_file_that_is_still_being_written_is_sent_later(fake_server, folder, monkeypatch, capsys):
    real = fake_server.answer

    def grow(request, body):
        with (folder / "5.jpg").open("ab") as file:
            file.write(b"more")
        return real(request, body)

    fake_server.answer = grow
    assert send(folder) == 1
    assert "5.jpg: The file changed while it was read." in capsys.readouterr().err
    assert stored_names(fake_server) == [name for name in ALL if name != "5.jpg"]
    fake_server.answer = real
    assert send(folder) == 0
    assert stored_names(fake_server) == ALL
