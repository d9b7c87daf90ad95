"""Which peers are admitted, and what happens to peers that misbehave."""

import logging
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.uid import CTImageStorage

from tests import modality
from webapp.dicom.models import Peer, Refusal
from webapp.studies.models import Image
from worker.dicom import transport
from worker.dicom.listening import Listener

pytestmark = modality.committed_rows
Listen = Callable[..., int]


def echo(port: int) -> int:
    with modality.connected(port) as association:
        return int(association.send_c_echo().Status) if association.is_established else -1


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def no_associations() -> bool:
    return not any("AcceptorThread" in thread.name for thread in threading.enumerate())


def test_the_listener_answers_an_echo(port: int) -> None:
    assert echo(port) == 0


def test_a_process_first_leaves_a_connection_to_one_that_has_fewer(
    peer: Peer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(transport, "time", SimpleNamespace(sleep=waited.append, monotonic=time.monotonic))
    listener = Listener(processes=2)  # the other process does not exist
    port = listener.open()
    listener.start()
    with modality.connected(port) as first:
        assert first.is_established
        assert waited == []
        with modality.connected(port) as second:
            assert second.is_established
            assert waited == [transport.GIVE_WAY_SECONDS]
    listener.stop()


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ({"ae_title": "STRANGER"}, (1, 1, 3)),
        ({"ae_title": "scanner"}, (1, 1, 3)),
        ({"called": "ANY-SCP"}, (1, 1, 7)),
    ],
)
def test_strangers_are_rejected(port: int, who: dict[str, str], reason: tuple[int, int, int]) -> None:
    with modality.connected(port, **who) as association:
        assert modality.rejection(association) == reason


def test_a_peer_is_admitted_from_its_network_while_it_is_active(port: int, peer: Peer) -> None:
    for changes, status in [
        ({"network": "10.0.0.0/8"}, -1),
        ({"network": "127.0.0.0/8"}, 0),
        ({"active": False}, -1),
    ]:
        Peer.objects.filter(pk=peer.pk).update(**changes)
        assert echo(port) == status


def test_the_department_learns_why_a_sender_was_refused(listen: Listen, peer: Peer) -> None:
    port = listen()
    for changes, why in [
        ({"network": "10.0.0.0/8"}, Refusal.NETWORK),
        ({"network": "", "certificate_name": "ct1"}, Refusal.CERTIFICATE),
        ({"active": False}, Refusal.OFF),
    ]:
        Peer.objects.filter(pk=peer.pk).update(**changes, last_refused_at=None)
        assert echo(port) == -1
        peer.refresh_from_db()
        assert peer.last_refused_at
        assert peer.last_refusal == why


def test_other_classes_are_not_accepted(port: int) -> None:
    with modality.connected(port, classes=[CTImageStorage]) as association:
        assert not association.is_established


def test_too_many_associations_are_rejected_temporarily(listen: Listen) -> None:
    port = listen(DICOM_ASSOCIATIONS=2)
    with modality.connected(port), modality.connected(port), modality.connected(port) as third:
        assert modality.rejection(third) == (2, 3, 2)
    assert wait_until(lambda: echo(port) == 0)


def test_a_silent_peer_takes_no_place_and_is_disconnected(listen: Listen) -> None:
    port = listen(DICOM_ASSOCIATIONS=1, DICOM_GREETING_SECONDS=0.5)
    with socket.create_connection(("127.0.0.1", port)) as silent:
        assert echo(port) == 0
        silent.settimeout(5)
        assert silent.recv(1) == b""
    assert wait_until(no_associations)


def test_a_peer_that_stops_in_mid_message_is_disconnected(listen: Listen) -> None:
    port = listen(DICOM_SILENT_SECONDS=0.3)
    with modality.connected(port) as association:
        # The beginning of a P-DATA-TF of 100 bytes.
        raw = association.dul.socket.socket
        raw.sendall(b"\x04\x00\x00\x00\x00\x64half")
        assert wait_until(no_associations)
    assert not Image.objects.exists()


def test_a_peer_that_sends_a_byte_now_and_then_is_disconnected(listen: Listen) -> None:
    port = listen(DICOM_SILENT_SECONDS=0.5)
    with modality.connected(port) as association:
        raw = association.dul.socket.socket
        raw.sendall(b"\x04\x00\x00\x00\x00\x64")

        def sent_one() -> bool:
            with suppress(OSError):
                raw.sendall(b"x")
            return no_associations()

        assert wait_until(sent_one, 1.5)
    assert not Image.objects.exists()


def test_a_peer_that_never_releases_is_disconnected(listen: Listen) -> None:
    port = listen(DICOM_SILENT_SECONDS=0.3)
    with modality.connected(port) as association:
        assert association.is_established
        assert wait_until(no_associations)


def test_a_request_without_a_class_leaves_no_connection(port: int) -> None:
    request = bytearray(modality.greeting(port))
    # The class of the first presentation context becomes a transfer syntax.
    request[request.index(b"\x30\x00\x00")] = 0x40
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(request)
        peer.settimeout(5)
        assert peer.recv(1) == b""
        assert wait_until(lambda: not any("run_reactor" in thread.name for thread in threading.enumerate()))
    assert echo(port) == 0


def test_a_peer_that_announces_too_much_is_disconnected(listen: Listen) -> None:
    port = listen(DICOM_GREETING_SECONDS=0.3)
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(b"\x01\x00\xff\xff\xff\xff")
        peer.settimeout(5)
        assert peer.recv(1) == b""


def test_an_association_aborted_in_mid_image_leaves_nothing(port: int) -> None:
    with modality.connected(port) as association:
        association.dimse_timeout = 1
        # Send a C-STORE request, and close the connection before its data set.
        send = association.dul.socket.send
        parts: list[bytes] = []

        def cut(content: bytes) -> None:
            parts.append(content)
            if len(parts) > 1:
                association.dul.socket.socket.close()
            else:
                send(content)

        association.dul.socket.send = cut
        association.send_c_store(modality.image(side=256))
    assert wait_until(no_associations)
    assert not Image.objects.exists()
    assert echo(port) == 0


def test_a_deactivated_sender_stores_nothing_more_over_its_open_association(port: int, peer: Peer) -> None:
    with modality.connected(port) as association:
        assert association.send_c_store(modality.image()).Status == 0
        Peer.objects.filter(pk=peer.pk).update(active=False)
        assert association.send_c_store(modality.image(1)).Status == 0x0124
    assert Image.objects.count() == 1


def test_logs_say_nothing_about_patients(port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "worker")
    caplog.set_level(logging.DEBUG, "webapp")
    marked = modality.image(PatientName="Marked^Name", PatientID="marked-id", AccessionNumber="marked-number")
    broken = modality.image(StudyInstanceUID="", PatientName="Marked^Name")
    odd = modality.image(PatientBirthDate="marked-date", PatientSex="marked-sex")
    assert modality.send(port, marked, broken, odd, marked)[0] == 0
    lines = [record.getMessage() for record in caplog.records]
    assert any("SCANNER" in line for line in lines)
    assert not [line for line in lines if "marked" in line.lower()]


def test_with_tls_a_peer_needs_a_certificate(listen: Listen, tmp_path: Path) -> None:
    authority, server, client = (certificate(tmp_path, name) for name in ("authority", "server", "client"))
    port = listen(
        DICOM_TLS_CERTIFICATE=str(server[0]), DICOM_TLS_KEY=str(server[1]), DICOM_TLS_CLIENTS=str(client[0]),
        DICOM_GREETING_SECONDS=1,
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", port)):  # sends nothing, and must hold nobody up
        for (file, key), expected in [(client, True), (authority, False)]:
            context = ssl.create_default_context(cafile=str(server[0]))
            context.check_hostname = False
            context.load_cert_chain(file, key)
            with modality.connected(port, tls=context) as association:
                assert association.is_established == expected
    assert echo(port) == -1


def test_a_peer_needs_the_certificate_that_it_was_registered_with(listen: Listen, peer: Peer, tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "server"), certificate(tmp_path, "Scanner 1")
    port = listen(DICOM_TLS_CERTIFICATE=str(server[0]), DICOM_TLS_KEY=str(server[1]), DICOM_TLS_CLIENTS=str(client[0]))
    context = ssl.create_default_context(cafile=str(server[0]))
    context.check_hostname = False
    context.load_cert_chain(*client)
    for name, admitted in [("scanner 1", True), ("scanner 2", False), ("", True)]:
        Peer.objects.filter(pk=peer.pk).update(certificate_name=name)
        with modality.connected(port, tls=context) as association:
            assert association.is_established == admitted, name


def test_without_tls_a_peer_that_needs_a_certificate_is_not_admitted(port: int, peer: Peer) -> None:
    Peer.objects.filter(pk=peer.pk).update(certificate_name="scanner")
    assert echo(port) == -1


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    file, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(file)],
        check=True, capture_output=True,
    )  # fmt: skip
    return file, key
