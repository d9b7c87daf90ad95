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


def there(pretended):
    return sorted(name for names in pretended.studies.values() for name in names)


def test_a_folder_becomes_one_study_in_parts(pretended, folder, capsys):
    assert send(folder, "--patient", "P1", "--department", "er") == 0
    assert there(pretended) == ALL
    assert pretended.names == {FIRST: "ward"}
    assert [request.url.path for request in pretended.posts()] == [
        "/api/v1/studies/", *[f"/api/v1/studies/{FIRST}/images/"] * 3,
    ]  # fmt: skip
    assert b"P1" in pretended.bodies[0]
    assert b"er" in pretended.bodies[0]
    assert all(b"P1" not in body for body in pretended.bodies[1:])
    printed = capsys.readouterr()
    assert printed.out == f"{FIRST}\n"
    assert "7 of 7 files sent" in printed.err


def test_age_and_view_go_with_every_part(pretended, folder):
    assert send(folder, "--patient", "P1", "--age", "2.5", "--view", "AP") == 0
    assert len(pretended.bodies) == 4
    for body in pretended.bodies:
        assert re.search(rb'name="age"\r\n\r\n2.5\r\n', body)
        assert re.search(rb'name="view"\r\n\r\nAP\r\n', body)
    # They are of the files: those of another age are added to the same study.
    (folder / "6.jpg").write_bytes(b"image 6")
    assert send(folder, "--patient", "P1", "--age", "4") == 0
    assert list(pretended.studies) == [FIRST]
    assert re.search(rb'name="age"\r\n\r\n4.0\r\n', pretended.bodies[-1])
    assert b'name="view"' not in pretended.bodies[-1]


@pytest.mark.parametrize(
    "option", [("--age", "old"), ("--age", "-1"), ("--age", "131"), ("--age", "nan"), ("--view", "up")]
)
def test_what_is_no_age_or_view_is_wrong_usage(pretended, folder, option):
    with pytest.raises(SystemExit) as ended:
        send(folder, *option)
    assert ended.value.code == 2
    assert pretended.bodies == []


def test_what_was_sent_is_not_sent_again(pretended, folder):
    assert send(folder) == send(folder) == 0
    assert there(pretended) == ALL


def test_what_is_new_is_added(pretended, folder):
    send(folder)
    (folder / "6.jpg").write_bytes(b"image 6")
    (folder / "1.jpg").write_bytes(b"another image")
    assert send(folder) == 0
    assert there(pretended) == sorted([*ALL, "1.jpg", "6.jpg"])
    assert list(pretended.studies) == [FIRST]


def test_a_folder_that_was_copied_or_touched_is_not_sent_again(pretended, folder):
    send(folder, "--study", "x")
    for file in folder.glob("*.jpg"):
        os.utime(file, (1, 1))
    moved = folder.rename(folder.with_name("moved"))
    assert send(moved, "--study", "x") == 0
    assert there(pretended) == ALL


def test_folders_of_the_same_name_are_different_studies(pretended, folder, tmp_path):
    other = tmp_path / "other" / "ward"
    other.mkdir(parents=True)
    (other / "0.jpg").write_bytes(b"image 0")
    assert send(folder) == send(other) == 0
    assert sorted(pretended.names.values()) == ["ward", "ward"]


def test_new_makes_another_study(pretended, folder):
    send(folder)
    assert send(folder, "--new") == 0
    assert there(pretended) == sorted(ALL * 2)


def test_a_deleted_study_is_sent_again(pretended, folder):
    send(folder)
    pretended.studies.pop(FIRST)
    pretended.keys.clear()
    assert send(folder) == 0
    assert there(pretended) == ALL


def test_an_answer_that_is_lost_is_asked_for_again_with_the_same_key(pretended, folder):
    lost = iter([True, False, True])

    def loses(request):
        if request.method == "POST" and next(lost, False):
            pretended.answer(request, request.content)
            raise httpx.ReadError("")
        return

    pretended.instead = loses
    assert send(folder) == 0
    assert there(pretended) == ALL


def test_without_the_server_what_was_begun_goes_on_with_the_same_key(pretended, folder, capsys):
    """The part may have arrived, and its answer be lost."""

    def breaks(request):
        if request.method == "POST" and len(pretended.keys) == 2:
            pretended.answer(request, request.content)
        if len(pretended.keys) == 3:
            raise httpx.ConnectError("refused")
        return

    pretended.instead = breaks
    assert send(folder) == 4
    assert "https://xray.example cannot be reached: refused." in capsys.readouterr().err
    pretended.instead = lambda request: None
    assert send(folder) == 0
    assert there(pretended) == ALL


def test_a_part_whose_files_have_changed_since_is_looked_for_on_the_server(pretended, folder, monkeypatch):
    def breaks(request):
        if request.method == "POST" and request.url.path.endswith("/images/"):
            pretended.answer(request, request.content)
            raise httpx.ConnectError("refused")
        return

    pretended.instead = breaks
    assert send(folder, "--patience", "0") == 4
    asked = []

    def look(server, journal, part):
        asked.append([item.file.name for item in part.items])
        return part.study

    monkeypatch.setattr(sending, "arrived", look)
    pretended.instead = lambda request: None
    (folder / "2.jpg").unlink()
    assert send(folder) == 0
    assert asked == [["2.jpg", "3.jpg"]]
    assert there(pretended) == ALL


def test_a_file_that_is_refused_does_not_hold_up_the_others(pretended, folder, capsys):
    (folder / "bad.jpg").write_bytes(b"?")
    assert send(folder, "--part-files", "8") == 1
    assert there(pretended) == ALL
    assert "bad.jpg: This is archive_corrupt. (archive_corrupt)" in capsys.readouterr().err
    assert send(folder) == 1, "it is still refused"
    assert there(pretended) == ALL


def test_a_full_study_is_followed_by_another(pretended, folder):
    pretended.limit = 3
    assert send(folder) == 0
    assert there(pretended) == ALL
    assert list(pretended.names.values()) == ["ward", "ward (2)", "ward (3)"]
    assert send(folder) == 0
    assert there(pretended) == ALL


def test_a_zip_is_sent_alone(pretended, folder):
    (folder / "a.zip").write_bytes(b"PK\3\4...")
    assert main(["upload", str(folder)]) == 0
    assert [len(names) for names, _ in pretended.keys.values()] == [6, 1, 1]


def test_what_the_server_does_not_allow_ends_the_upload(pretended, folder, capsys):
    pretended.instead = lambda request: problem(403, "not_an_uploader") if request.method == "POST" else None
    assert send(folder) == 5
    assert "pneumoqueue: This is not_an_uploader. (not_an_uploader)" in capsys.readouterr().err
    assert len(pretended.posts()) == 1


def test_a_token_that_has_expired(pretended, folder):
    pretended.instead = lambda request: problem(401, "authentication_failed")
    assert send(folder) == 3


@pytest.mark.parametrize("arguments", [["upload"], ["nothing"], [], ["upload", "x", "--part-files", "0"]])
def test_wrong_arguments(arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_files_that_are_not_there(pretended, tmp_path):
    assert send(tmp_path / "nothing") == 2
    (tmp_path / "empty").mkdir()
    assert send(tmp_path / "empty") == 2
    assert not pretended.requests


def test_two_cannot_send_the_same_at_once(pretended, folder):
    held = Journal("one")
    with pytest.raises(ClientError, match="Another pneumoqueue"):
        Journal("one")
    held.close()
    Journal("one").close()


def manifests(pretended):
    """The tables that were sent, each with the number of files of its request."""
    found = {}
    for body in pretended.bodies:
        for table in re.findall(rb'filename="manifest.csv".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL):
            found[tuple(table.decode().splitlines())] = body.count(b"filename=")
    return found


def test_a_manifest_goes_with_the_files_that_it_names(pretended, folder, capsys):
    (folder / "manifest.csv").write_text("\ufefffile;patient\n1.jpg;P1\nbelow\\0.jpg;P0\nnone.jpg;P9\n", "utf-8")
    assert send(folder) == 0
    assert manifests(pretended) == {("file,patient", "1.jpg,P1"): 3, ("file,patient", "0.jpg,P0"): 2}
    assert "The manifest names none.jpg, which is not among the files." in capsys.readouterr().err


def test_a_row_that_may_mean_several_files_is_of_none(pretended, folder, capsys):
    (folder / "other").mkdir()
    for name in ("below/x.jpg", "other/x.jpg"):
        (folder / name).write_bytes(name.encode())
    (folder / "manifest.csv").write_text("file,patient\nx.jpg,P1\n0.jpg,P2\n")
    assert send(folder) == 0
    assert list(manifests(pretended)) == [("file,patient", "0.jpg,P2")]
    assert "The manifest names x.jpg, which 2 files are called; none gets this row." in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-16"])
def test_a_manifest_is_read_as_a_spreadsheet_wrote_it(pretended, folder, encoding):
    text = "sep=;\nFile;Patient;Comment\n1.JPG;Müller;Husten, für Übung größer\n"
    (folder / "manifest.csv").write_bytes(text.encode(encoding))
    assert send(folder) == 0
    assert list(manifests(pretended)) == [("file,patient,comment", '1.jpg,Müller,"Husten, für Übung größer"')]


@pytest.mark.parametrize("text", ["name,patient\n", "", 'file,patient\n"1.jpg,P1\n'])
def test_a_manifest_that_cannot_be_read_is_wrong_usage(pretended, folder, text):
    (folder / "manifest.csv").write_text(text)
    assert send(folder) == 2


def test_a_file_is_read_in_pieces_and_only_as_it_was(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    sizes: list[int] = []
    body = Body(found(tmp_path / "a", "a"), sizes.append)
    form = httpx.Request("POST", "http://x/", files=[("files", ("a", body))])
    assert int(form.headers["content-length"]) == len(form.read())
    assert max(sizes) <= 65536
    assert sum(sizes) == 100_000


def test_a_file_that_is_still_written_is_left_for_later(pretended, folder, monkeypatch, capsys):
    real = pretended.answer

    def grow(request, body):
        with (folder / "5.jpg").open("ab") as file:
            file.write(b"more")
        return real(request, body)

    pretended.answer = grow
    assert send(folder) == 1
    assert "5.jpg: The file changed while it was read." in capsys.readouterr().err
    assert there(pretended) == [name for name in ALL if name != "5.jpg"]
    pretended.answer = real
    assert send(folder) == 0
    assert there(pretended) == ALL
