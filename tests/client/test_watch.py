"""A watched folder."""

import time

import httpx
import pytest
from pneumoqueue.cli import main

from tests.client.conftest import problem

pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.fixture
def images(fake_server):
    """The address and name of each accepted file, by idempotency key."""
    accepted = {}

    def answer(request, body):
        key = request.headers["idempotency-key"]
        name = body.split(b'filename="')[1].split(b'"')[0].decode()
        if name.startswith("bad"):
            return problem(415, "not_an_image")
        accepted.setdefault(key, (request.url.path, name))
        return httpx.Response(202, json={"id": f"id-of-{name}"})

    fake_server.answer = answer
    return accepted


def watch(folder, *options):
    return main(["watch", str(folder), "--once", "--settle", "0", "--interval", "0.01", *options])


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_accepted_files_are_moved_and_refused_files_get_a_reason(images, folder):
    (folder / "bad.txt").write_text("no image")
    (folder / "a.zip").write_bytes(b"PK\3\4...")
    assert watch(folder) == 1
    assert names(folder) == [
        "refused/bad.txt", "refused/bad.txt.txt",
        *(f"sent/{name}" for name in ("0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "a.zip", "below/0.jpg")),
    ]  # fmt: skip
    assert (folder / "refused" / "bad.txt.txt").read_text() == "This is not_an_image. (not_an_image)\n"
    assert sorted(images.values())[-1] == ("/api/v1/studies/", "a.zip")
    assert len(images) == 8


def test_a_file_that_stays_in_the_folder_is_sent_once(images, folder):
    assert watch(folder, "--keep") == watch(folder, "--keep") == 0
    assert len(images) == 7
    assert len(names(folder)) == 7


def test_a_file_that_was_sent_and_not_yet_moved_is_only_moved(images, folder):
    watch(folder, "--keep")
    assert watch(folder) == 0
    assert len(images) == 7
    assert len(names(folder / "sent")) == 7


def test_an_interrupted_upload_is_sent_again_with_the_same_key(fake_server, images, folder):
    real, keys = fake_server.answer, []

    def interrupt(request, body):
        keys.append(request.headers["idempotency-key"])
        real(request, body)
        if len(keys) == 3:
            raise KeyboardInterrupt
        return real(request, body)

    fake_server.answer = interrupt
    assert watch(folder) == 0, "ended by the user"
    assert watch(folder) == 0
    assert keys[2] == keys[3]
    assert len(images) == 7


def test_a_growing_file_is_left_until_it_is_complete(images, folder, monkeypatch):
    growing, looks = folder / "growing.jpg", []
    growing.write_bytes(b"a")

    class Time:
        @staticmethod
        def sleep(seconds):
            looks.append(seconds)
            if len(looks) < 4:
                with growing.open("ab") as file:
                    file.write(b"b")
            time.sleep(seconds)

    monkeypatch.setattr("pneumoqueue.commands.time", Time)
    assert main(["watch", str(folder), "--once", "--settle", "0.2", "--interval", "0.05"]) == 0
    assert (folder / "sent" / "growing.jpg").read_bytes() == b"abbb"


def test_age_and_view_are_sent_with_each_file(fake_server, images, folder):
    assert watch(folder, "--age", "3", "--view", "PA") == 0
    assert len(images) == 7
    for body in (request.content for request in fake_server.posts()):
        assert b'name="age"\r\n\r\n3.0\r\n' in body
        assert b'name="view"\r\n\r\nPA\r\n' in body


def test_unfinished_and_hidden_files_are_ignored(images, folder):
    (folder / "x.jpg.part").write_bytes(b"x")
    (folder / ".hidden").write_bytes(b"x")
    watch(folder)
    assert {".hidden", "x.jpg.part"} <= set(names(folder))
    assert len(images) == 7


def test_a_second_file_of_the_same_name_is_moved_under_a_numbered_name(images, folder):
    watch(folder)
    (folder / "0.jpg").write_bytes(b"another")
    watch(folder)
    assert (folder / "sent" / "0 (2).jpg").read_bytes() == b"another"
    assert len(images) == 8


def test_an_error_that_concerns_all_files_ends_watching_and_moves_none(fake_server, folder):
    fake_server.answer = lambda request, body: problem(404, "department_not_found")
    assert watch(folder, "--department", "nowhere") == 5
    assert len(names(folder)) == 7
    assert not (folder / "refused").exists()


def test_an_invalid_option_ends_watching_and_refuses_no_file(fake_server, folder):
    wrong = {"code": "invalid_request", "detail": "patient: too long", "errors": {"patient": "too long"}}
    fake_server.answer = lambda request, body: httpx.Response(400, json=wrong)
    assert watch(folder, "--patient", "P" * 200) == 5
    assert len(names(folder)) == 7
