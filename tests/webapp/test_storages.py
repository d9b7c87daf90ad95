"""Both storages distinguish a missing file from an unreachable storage."""

import io
import multiprocessing
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from django.core.files.base import ContentFile, File
from django.core.files.storage import storages
from django.core.files.uploadedfile import TemporaryUploadedFile

from tests import servers
from webapp.storage import folder as local
from webapp.storage import s3
from webapp.storage.folder import LocalStorage, StorageUnavailable
from webapp.storage.s3 import S3Storage
from webapp.studies.files.hashes import content_hash

KEY = {"access_key": "for-tests", "secret_key": servers.PASSWORD, "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    with servers.s3() as started:
        yield started


@pytest.fixture
def bucket(store: dict[str, str]) -> S3Storage:
    return S3Storage(bucket_name=store["S3_BUCKET"], endpoint_url=store["S3_ENDPOINT_URL"], **KEY)


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.long)])
def storage(request: pytest.FixtureRequest) -> Any:
    return storages["default"] if request.param == "folder" else request.getfixturevalue("bucket")


def test_a_file_is_stored_read_back_and_deleted(storage: Any) -> None:
    content = bytes(range(256)) * 40_000  # more than the storage buffers in memory
    name = storage.save("uploads/ab/file.bin", ContentFile(content))
    assert name == "uploads/ab/file.bin"
    with storage.open(name) as file:
        assert file.size == len(content)
        assert file.read() == content
        file.seek(0)
        assert file.read(4) == content[:4]
    assert storage.exists(name)
    storage.delete(name)
    assert not storage.exists(name)
    storage.delete(name)  # deleting again is no error


def test_a_file_is_hashed_and_stored_in_few_parts() -> None:
    reads: list[int] = []

    class CountingFile(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            reads.append(1)
            return super().read(size)

        def readinto(self, buffer: Any, /) -> int:
            reads.append(1)
            return super().readinto(buffer)

    content = File(CountingFile(bytes(600_000)))
    content_hash(content)
    storages["default"].save("uploads/ab/file.bin", content)
    assert len(reads) <= 6  # Django's default chunks would need 20


def test_saving_a_file_again_replaces_it(storage: Any) -> None:
    for content in (b"first", b"second"):
        assert storage.save("inputs/ab/same.png", ContentFile(content)) == "inputs/ab/same.png"
    assert storage.open("inputs/ab/same.png").read() == b"second"


def test_a_missing_file_is_not_found(storage: Any) -> None:
    storage.save("uploads/ab/there.bin", ContentFile(b"x"))
    with pytest.raises(FileNotFoundError):
        storage.open("uploads/ab/gone.bin")
    assert storage.is_there()


def test_a_volume_that_is_not_mounted_is_unavailable() -> None:
    folder: LocalStorage = storages["default"]
    with pytest.raises(StorageUnavailable, match="mounted"):
        folder.open("uploads/ab/file.bin")


def test_a_missing_bucket_is_unavailable(store: dict[str, str]) -> None:
    missing = S3Storage(bucket_name="another", endpoint_url=store["S3_ENDPOINT_URL"], **KEY)
    assert not missing.is_there()
    with pytest.raises(StorageUnavailable):
        missing.open("uploads/ab/file.bin")


def test_a_store_that_does_not_answer_is_unavailable() -> None:
    offline = S3Storage(bucket_name="any", endpoint_url=f"http://127.0.0.1:{servers.free_port()}", **KEY)
    assert not offline.is_there()
    for use in (lambda: offline.open("a"), lambda: offline.save("a", ContentFile(b"x")), lambda: offline.exists("a")):
        with pytest.raises(StorageUnavailable):
            use()


def test_an_upload_to_an_unavailable_storage_is_refused_with_its_code(
    client: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> str:
        raise StorageUnavailable("no route to host")

    monkeypatch.setattr(LocalStorage, "_save", fail)
    problem(client.upload(), 503, "storage_unavailable")


def test_a_zip_is_read_in_parts_and_never_as_a_whole(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory and single entries are read from a ZIP that is far larger than one part."""
    monkeypatch.setattr(s3, "PART", 2**16)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(40):
            archive.writestr(f"{number}.bin", bytes([number]) * 100_000)
    storage.save("archives/ab/large.zip", ContentFile(stream.getvalue()))
    sizes: list[int] = []
    read_part = s3._Parts.readinto
    monkeypatch.setattr(
        s3._Parts, "readinto", lambda self, buffer: sizes.append(len(buffer)) or read_part(self, buffer)
    )
    with storage.open_seekable("archives/ab/large.zip") as file, zipfile.ZipFile(file) as archive:
        assert len(archive.namelist()) == 40
        assert archive.read("20.bin") == bytes([20]) * 100_000
        assert archive.read("3.bin") == bytes([3]) * 100_000
        assert archive.testzip() is None
    if isinstance(storage, S3Storage):
        assert sizes
        assert max(sizes) <= 2**17
        assert len(sizes) < 200


def test_a_part_that_cannot_be_read_means_an_unavailable_storage(
    bucket: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.save("archives/ab/a.zip", ContentFile(bytes(10_000)))
    with bucket.open_seekable("archives/ab/a.zip") as file:
        monkeypatch.setattr(
            bucket.connection.meta.client,
            "get_object",
            lambda **_: (_ for _ in ()).throw(EndpointConnectionError(endpoint_url="x")),
        )
        with pytest.raises(StorageUnavailable):
            file.read(10)
    with pytest.raises(FileNotFoundError):
        bucket.open_seekable("archives/ab/gone.zip")


class Broken(ContentFile):
    """A file whose second half cannot be read."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"the first half"
        raise OSError("the disk is broken")


def files_in(storage: LocalStorage) -> list[str]:
    return sorted(path.name for path in Path(storage.location).rglob("*") if path.is_file())


def test_a_file_that_cannot_be_replaced_stays_as_it_was() -> None:
    folder: LocalStorage = storages["default"]
    folder.save("inputs/ab/same.png", ContentFile(b"as it was"))
    with pytest.raises(OSError, match="broken"):
        folder.save("inputs/ab/same.png", Broken(b""))
    assert folder.open("inputs/ab/same.png").read() == b"as it was"
    assert files_in(folder) == ["same.png"]


def test_a_reader_keeps_the_file_that_it_opened() -> None:
    folder: LocalStorage = storages["default"]
    folder.save("inputs/ab/same.png", ContentFile(b"as it was"))
    with folder.open("inputs/ab/same.png") as opened:
        folder.save("inputs/ab/same.png", ContentFile(b"replaced"))
        assert opened.read() == b"as it was"


@pytest.mark.parametrize("same_file_system", [True, False])
def test_an_uploads_temporary_file_is_moved_with_the_storages_permissions(
    same_file_system: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder: LocalStorage = storages["default"]
    if not same_file_system:
        monkeypatch.setattr("django.core.files.move.os.rename", _cross_device)
    with TemporaryUploadedFile("chest.jpg", "image/jpeg", 4, None) as upload:
        upload.write(b"xray")
        upload.flush()
        upload.seek(0)
        folder.save("uploads/ab/moved.jpg", upload)
    stored = Path(folder.path("uploads/ab/moved.jpg"))
    assert stored.read_bytes() == b"xray"
    assert stored.stat().st_mode & 0o777 == 0o640
    assert files_in(folder) == ["moved.jpg"]


def _cross_device(*_: Any) -> None:
    raise OSError(18, "Invalid cross-device link")


def test_the_files_of_a_batch_exist_under_their_names_at_its_end(storage: Any) -> None:
    names = [f"uploads/{number % 3}/{number}.jpg" for number in range(20)]
    with storage.batch():
        for name in names:
            storage.save(name, ContentFile(name.encode()))
    assert [storage.open(name).read() for name in names] == [name.encode() for name in names]


def test_each_thread_gets_a_share_of_the_files(tmp_path: Path, monkeypatch: Any) -> None:
    jobs: list[Any] = []
    pool = local._threads()
    submit = pool.submit
    monkeypatch.setattr(pool, "submit", lambda *job: jobs.append(job) or submit(*job))
    folder = LocalStorage(location=tmp_path)
    with folder.batch():
        for number in range(30):
            folder.save(f"uploads/{number}/{number}.jpg", ContentFile(b"image"))
    assert len(jobs) == 2 * local.THREADS  # the files, and then the folders
    assert len([path for path in tmp_path.rglob("*.jpg") if path.read_bytes() == b"image"]) == 30


def test_a_forked_process_can_store_a_batch(tmp_path: Path) -> None:
    folder = LocalStorage(location=tmp_path)

    def store() -> None:
        with folder.batch():
            for number in range(4):
                folder.save(f"uploads/{os.getpid()}/{number}", ContentFile(b"content"))

    store()
    child = multiprocessing.get_context("fork").Process(target=store, daemon=True)
    child.start()
    child.join(20)
    assert child.exitcode == 0
    assert len(list(tmp_path.rglob("[0-3]"))) == 8


def test_a_process_that_cannot_start_threads_can_store_a_batch(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    folder = LocalStorage(location=tmp_path)
    local._threads.cache_clear()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with folder.batch():
        for number in range(3):
            folder.save(f"uploads/{number}", ContentFile(b"content"))
    monkeypatch.undo()
    local._threads.cache_clear()
    assert files_in(folder) == ["0", "1", "2"]


def test_a_failed_batch_leaves_no_file() -> None:
    folder: LocalStorage = storages["default"]

    def save_both() -> None:
        with folder.batch():
            folder.save("uploads/ab/1.jpg", ContentFile(b"whole"))
            folder.save("uploads/ab/2.jpg", Broken(b""))

    with pytest.raises(OSError, match="broken"):
        save_both()
    assert files_in(folder) == []
    folder.save("uploads/ab/3.jpg", ContentFile(b"after it"))
    assert files_in(folder) == ["3.jpg"]


def test_deleting_many_files_ignores_missing_ones(storage: Any) -> None:
    names = [storage.save(f"previews/ab/{n}.jpg", ContentFile(b"x")) for n in range(3)]
    kept = storage.save("previews/ab/kept.jpg", ContentFile(b"x"))
    assert storage.delete_many([*names, "previews/ab/never.jpg"]) == []
    assert not any(storage.exists(name) for name in names)
    assert storage.exists(kept)
    assert storage.delete_many([]) == []


def test_files_are_listed_in_order_after_any_name(storage: Any) -> None:
    names = ["uploads/0/a.bin", "uploads/0-1/b.bin", "uploads/ab/1.bin", "uploads/ab/2.bin", "uploads/z.bin"]
    for name in reversed(names):
        storage.save(name, ContentFile(b"12345"))
    storage.save("inputs/other.bin", ContentFile(b"x"))
    listed = [file for file in storage.walk("uploads") if file.name in names]
    assert [file.name for file in listed] == sorted(names)
    assert {file.size for file in listed} == {5}
    assert all(abs(file.modified - time.time()) < 60 for file in listed)
    for place, name in enumerate(sorted(names)):
        assert [file.name for file in storage.walk("uploads", after=name) if file.name in names] == sorted(names)[
            place + 1 :
        ]
    assert list(storage.walk("nothing")) == []


def test_an_unavailable_store_lists_and_deletes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    offline = S3Storage(bucket_name="none", endpoint_url="http://127.0.0.1:1", **KEY)
    assert offline.delete_many(["uploads/a.bin"]) == ["uploads/a.bin"]
    with pytest.raises(StorageUnavailable):
        list(offline.walk("uploads"))
