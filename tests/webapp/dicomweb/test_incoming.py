"""The parts of a STOW-RS request body are written to files while the body is received."""

import hashlib
from pathlib import Path

import pytest

from tests import dicomweb, modality
from tests.asgi import browse
from tests.webapp.test_bodies import Client
from webapp.dicom.web import multipart
from webapp.dicom.web.incoming import Incoming
from webapp.http import bodies
from webapp.refusals import Refused
from webapp.studies.files import hashes
from webapp.studies.models import Image


@pytest.fixture(autouse=True)
def folder(settings, tmp_path) -> Path:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "incoming")
    (tmp_path / "incoming").mkdir()
    return tmp_path / "incoming"


def received(body: bytes, chunk_size: int = 1000, kind: str = dicomweb.TYPE) -> Incoming:
    incoming = Incoming(kind)
    incoming.writelines(body[at : at + chunk_size] for at in range(0, len(body), chunk_size))
    return incoming


@pytest.mark.parametrize("chunk_size", [1, 7, 1000, 10**6])
def test_a_part_is_complete_and_hashed_at_every_chunk_size(chunk_size, folder):
    contents = [bytes(range(256)) * 20, b"", b"\r\n--a bound", b"x" * 3000]
    with received(dicomweb.body(*contents), chunk_size) as incoming:
        parts = incoming.parts()
        assert [part.path.read_bytes() for part in parts] == contents
        assert [part.size for part in parts] == list(map(len, contents))
        assert [part.sha256 for part in parts] == [hashlib.sha256(one).hexdigest() for one in contents]
    assert not list(folder.iterdir())


def test_nothing_of_an_oversized_part_is_kept(settings, folder):
    settings.MAX_IMAGE_BYTES = 1000
    with received(dicomweb.body(b"x" * 3_000_000)[:2_000_000]) as incoming:
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 1000
    with received(dicomweb.body(b"x" * 3_000_000, b"y" * 1000)) as incoming:
        assert [part.path is None or part.size for part in incoming.parts()] == [True, 1000]
        assert len([path for path in folder.rglob("*") if path.is_file()]) == 1


def test_more_parts_than_allowed_are_refused(settings):
    settings.MAX_STUDY_FILES = 2
    with received(dicomweb.body(b"a", b"b", b"c")) as incoming, pytest.raises(Refused, match="At most 2"):
        incoming.parts()


@pytest.mark.parametrize("end", [-5, -100, 300])
def test_no_files_are_left_of_a_truncated_body(folder, end):
    with (
        received(dicomweb.body(b"a" * 1000, b"b" * 1000)[:end]) as incoming,
        pytest.raises(Refused, match="cannot be read"),
    ):
        incoming.parts()
    assert not list(folder.iterdir())


def test_a_body_of_another_type_is_not_written(folder):
    with received(dicomweb.body(b"a" * 1000), kind="application/dicom"):
        assert not list(folder.iterdir())


@pytest.mark.django_db
def test_only_one_group_of_files_is_open_at_a_time(rf, monkeypatch):
    monkeypatch.setattr(multipart, "AT_ONCE", 2)
    request = rf.post("/", dicomweb.body(*(b"%d" % number for number in range(5))), content_type=dicomweb.TYPE)
    groups, seen = multipart.read(request), []
    for group in groups:
        assert all(part.file.closed for part in seen)
        assert not any(part.file.closed for part in group)
        seen += group
    assert len(seen) == 5


@pytest.mark.django_db(transaction=True)
def test_a_part_is_moved_without_copying_or_hashing_it_again(token, folder, monkeypatch):
    written, original = [], Incoming.writelines

    def recording(self, chunks):
        original(self, chunks)
        written.extend(path.stat().st_ino for path in folder.rglob("*") if path.is_file())

    monkeypatch.setattr(Incoming, "writelines", recording)
    monkeypatch.setattr(hashes, "content_hash", lambda _: pytest.fail("the file is hashed again"))
    monkeypatch.setattr(
        bodies, "SpooledTemporaryFile", lambda **_: pytest.fail("the whole body is written to a file too")
    )
    content = dicomweb.file(modality.image())
    headers = {"Authorization": token, "Content-Type": dicomweb.TYPE, "Accept": "application/dicom+json"}
    answer = browse(lambda client: client.post("/dicomweb/studies", content=dicomweb.body(content), headers=headers))
    assert answer.status_code == 200, answer.content
    image = Image.objects.get()
    assert (image.file.read(), image.sha256) == (content, hashlib.sha256(content).hexdigest())
    assert Path(image.file.path).stat().st_ino in written
    assert not list(folder.iterdir())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", [10**9, 2 * 10**6])
def test_no_files_are_left_of_an_oversized_body_or_a_client_that_disconnects(folder, settings, limit):
    settings.BODY_LIMITS = {"/dicomweb/studies": limit}
    client = Client("/dicomweb/studies", {"Content-Type": dicomweb.TYPE, "Transfer-Encoding": "chunked"}, parts=60)
    client.part = dicomweb.body(b"x" * 100_000)[: -len(dicomweb.BOUNDARY) - 6]
    files_while_receiving = []

    async def receive():
        files_while_receiving.extend(folder.rglob("0"))
        return await Client.receive(client) if client.left > 1 else {"type": "http.disconnect"}

    client.receive = receive
    answer = client.ask()
    assert answer.status == (413 if limit < 10**7 else 0)
    assert files_while_receiving
    assert not list(folder.iterdir())
