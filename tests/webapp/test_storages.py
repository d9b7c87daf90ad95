"""Both storages tell a file that is gone from a storage that is away."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from tests import servers
from webapp.storage.folder import LocalStorage, StorageUnavailable
from webapp.storage.s3 import S3Storage

KEY = {"access_key": "for-tests", "secret_key": servers.PASSWORD, "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    with servers.s3() as started:
        yield started


@pytest.fixture
def bucket(store: dict[str, str]) -> S3Storage:
    return S3Storage(bucket_name=store["S3_BUCKET"], endpoint_url=store["S3_ENDPOINT_URL"], **KEY)


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest) -> Any:
    return storages["default"] if request.param == "folder" else request.getfixturevalue("bucket")


def test_a_file_comes_back_as_it_was_and_goes(storage: Any) -> None:
    content = bytes(range(256)) * 40_000  # more than is kept in memory
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
    storage.delete(name)  # as often as one likes


def test_saving_again_replaces(storage: Any) -> None:
    for content in (b"first", b"second"):
        assert storage.save("inputs/ab/same.png", ContentFile(content)) == "inputs/ab/same.png"
    assert storage.open("inputs/ab/same.png").read() == b"second"


def test_a_file_that_is_gone(storage: Any) -> None:
    storage.save("uploads/ab/there.bin", ContentFile(b"x"))
    with pytest.raises(FileNotFoundError):
        storage.open("uploads/ab/gone.bin")
    assert storage.is_there()


def test_a_volume_that_is_not_mounted_is_away() -> None:
    folder: LocalStorage = storages["default"]
    with pytest.raises(StorageUnavailable, match="mounted"):
        folder.open("uploads/ab/file.bin")


def test_a_bucket_that_is_not_there_is_away(store: dict[str, str]) -> None:
    missing = S3Storage(bucket_name="another", endpoint_url=store["S3_ENDPOINT_URL"], **KEY)
    assert not missing.is_there()
    with pytest.raises(StorageUnavailable):
        missing.open("uploads/ab/file.bin")


def test_a_store_that_does_not_answer_is_away() -> None:
    away = S3Storage(bucket_name="any", endpoint_url=f"http://127.0.0.1:{servers.free_port()}", **KEY)
    assert not away.is_there()
    for use in (lambda: away.open("a"), lambda: away.save("a", ContentFile(b"x")), lambda: away.exists("a")):
        with pytest.raises(StorageUnavailable):
            use()


def test_an_upload_to_a_storage_that_is_away_says_so(
    client: Any, problem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> str:
        raise StorageUnavailable("no route to host")

    monkeypatch.setattr(LocalStorage, "_save", away)
    problem(client.upload(), 503, "storage_unavailable")


def test_many_files_go_at_once_and_those_that_are_gone_are_no_error(storage: Any) -> None:
    names = [storage.save(f"previews/ab/{n}.jpg", ContentFile(b"x")) for n in range(3)]
    kept = storage.save("previews/ab/kept.jpg", ContentFile(b"x"))
    assert storage.delete_many([*names, "previews/ab/never.jpg"]) == []
    assert not any(storage.exists(name) for name in names)
    assert storage.exists(kept)
    assert storage.delete_many([]) == []


def test_files_are_listed_in_order_from_any_place_on(storage: Any) -> None:
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


def test_a_store_that_is_away_lists_and_deletes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    away = S3Storage(bucket_name="none", endpoint_url="http://127.0.0.1:1", **KEY)
    assert away.delete_many(["uploads/a.bin"]) == ["uploads/a.bin"]
    with pytest.raises(StorageUnavailable):
        list(away.walk("uploads"))
