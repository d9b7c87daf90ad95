"""Images of several senders that wait at the same time are stored together."""

import fcntl
import multiprocessing
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from ml.pictures.dicom.attributes import attributes_of
from tests import dicomweb, modality
from webapp.departments.models import Department
from webapp.dicom.models import Peer
from webapp.dicom.services.arrivals import Arrival, Outcome
from webapp.dicom.services.receiving import receive
from webapp.studies.models import Image
from worker.dicom import keeping

pytestmark = modality.committed_rows
SUCCESS, NOT_AUTHORIZED, OUT_OF_RESOURCES = 0x0000, 0x0124, 0xA700


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were stored together each time. The first time takes so long that all others wait."""
    sizes: list[int] = []
    keep = keeping.receive

    def receive(arrivals: Sequence[Any], send: Any) -> list[Any]:
        if not sizes:
            time.sleep(1)
        sizes.append(len(arrivals))
        return keep(arrivals, send)

    monkeypatch.setattr(keeping, "receive", receive)
    return sizes


def send_at_once(port: int, *images: Any) -> list[int]:
    """The statuses of images that several associations of one sender send at the same time."""
    connected = threading.Barrier(len(images), timeout=10)

    def send(image: Any) -> int:
        with modality.connected(port) as association:
            connected.wait()
            return int(association.send_c_store(image).Status)

    with ThreadPoolExecutor(len(images)) as threads:
        return list(threads.map(send, images))


def test_images_that_wait_share_a_transaction(groups: list[int], port: int) -> None:
    images = [modality.image(number) for number in range(6)]
    assert send_at_once(port, *images) == [SUCCESS] * 6
    assert sum(groups) == Image.objects.count() == 6
    assert len(groups) <= 2


def test_each_waiting_image_gets_its_own_answer(groups: list[int], port: int, department: Department) -> None:
    department.daily_images = 4
    department.save()
    statuses = send_at_once(port, *(modality.image(number) for number in range(6)))
    assert sorted(statuses) == [SUCCESS] * 4 + [OUT_OF_RESOURCES] * 2
    assert Image.objects.count() == len(list(default_storage.walk("uploads"))) == 4


def test_a_deactivated_sender_holds_up_nobody(groups: list[int], port: int, peer: Peer) -> None:
    off = Peer.objects.create(ae_title="OTHER", department=peer.department)
    with modality.connected(port, ae_title="OTHER") as association, ThreadPoolExecutor(1) as threads:
        Peer.objects.filter(pk=off.pk).update(active=False)
        first = threads.submit(modality.send, port, modality.image(1))
        assert association.send_c_store(modality.image(2)).Status == NOT_AUTHORIZED
        assert first.result() == [SUCCESS]
    assert Image.objects.count() == len(list(default_storage.walk("uploads"))) == 1


def test_images_that_come_while_another_process_stores_are_stored_together(groups: list[int], peer: Peer) -> None:
    keeper = keeping.Keeper()
    processes = multiprocessing.get_context("fork")
    begun, ended = processes.Event(), processes.Event()

    def hold_the_lock() -> None:
        fcntl.lockf(keeper._lock, fcntl.LOCK_EX)
        begun.set()
        ended.wait(20)

    other = processes.Process(target=hold_the_lock)
    other.start()
    assert begun.wait(20)
    arrivals = [arrival(peer, number) for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        outcomes = [threads.submit(keeper.keep, [one]) for one in arrivals]
        time.sleep(0.5)
        assert len(list(default_storage.walk("uploads"))) == 3
        ended.set()
        assert [outcome.result(20) for outcome in outcomes] == [[Outcome.STORED]] * 3
    assert groups == [3]
    other.join()
    keeper.close()


def test_the_keeper_waits_for_senders_that_were_answered_together(
    groups: list[int], monkeypatch: pytest.MonkeyPatch, peer: Peer
) -> None:
    monkeypatch.setattr(keeping, "PATIENCE_SECONDS", 5)
    keeper = keeping.Keeper()

    def send(*numbers: int) -> list[Any]:
        return [keeper.keep([arrival(peer, number)]) for number in numbers]

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(send, 1, 2)
        time.sleep(0.3)  # storing the first image takes a second, and these come meanwhile
        others = [threads.submit(send, number) for number in (3, 4)]
        assert [one.result(20) for one in (first, *others)] == [[[Outcome.STORED]] * number for number in (2, 1, 1)]
    keeper.close()
    assert groups == [1, 3]


def test_the_keeper_does_not_wait_for_a_sender_that_has_ended(
    groups: list[int], monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(keeping, "PATIENCE_SECONDS", 10)
    both = [modality.image(1)], [modality.image(2), modality.image(3)]
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(modality.send, port, modality.image(4))
        time.sleep(0.3)  # storing that takes a second, and these come meanwhile
        sent = [threads.submit(modality.send, port, *images) for images in both]
        assert [one.result(8) for one in (first, *sent)] == [[SUCCESS], [SUCCESS], [SUCCESS] * 2]
    assert groups == [1, 2, 1]


def test_a_process_locks_others_out_only_while_it_stores_images(
    groups: list[int], monkeypatch: pytest.MonkeyPatch, peer: Peer
) -> None:
    locked: list[int] = []
    monkeypatch.setattr(keeping.fcntl, "lockf", lambda _, how: locked.append(how))
    keeper = keeping.Keeper()
    arrivals = [[arrival(peer, number)] for number in range(5)]
    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(keeper.keep, arrivals)) == [[Outcome.STORED]] * 5
    keeper.close()
    assert locked == [fcntl.LOCK_EX, fcntl.LOCK_UN] * len(groups)


def test_a_sender_does_not_wait_for_the_broker(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, answered = threading.Event(), threading.Event()

    def send(*_: Any) -> None:
        if answered.wait(10):
            sent.set()

    monkeypatch.setattr(keeping.dispatch, "send", send)
    assert modality.send(port, modality.image(1)) == [SUCCESS]
    answered.set()
    assert sent.wait(10)


def test_a_lone_sender_waits_for_nobody(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    monkeypatch.setattr(keeping, "PATIENCE_SECONDS", 30)
    keeper = keeping.Keeper()
    for number in range(2):
        assert keeper.keep([arrival(peer, number)]) == [Outcome.STORED]
    keeper.close()


def test_rows_that_seldom_change_are_cached(peer: Peer, settings: Any, django_assert_max_num_queries: Any) -> None:
    process_cache = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "TIMEOUT": 60}
    settings.CACHES = {**settings.CACHES, "process": process_cache}
    first, second = arrival(peer, 1), arrival(peer, 2)
    assert receive([first]) == [Outcome.STORED]
    with django_assert_max_num_queries(9):
        assert receive([second]) == [Outcome.STORED]


def arrival(peer: Peer, seed: int) -> Arrival:
    image = modality.image(seed)
    return Arrival(peer, ContentFile(dicomweb.file(image)), attributes_of(image))
