"""`make run` serves a ward over TLS and under systemd."""

import re
import signal
import socket
import ssl
import time
from pathlib import Path

import httpx
import pytest

from compose.local import certificates
from tests import clients, synthetic
from tests.servers import wait_for
from tests.service import launched

pytestmark = [pytest.mark.integration, pytest.mark.long]


def served_fingerprint(port: int) -> str:
    """The fingerprint of the certificate that the service presents."""
    pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
    return certificates.x509.load_pem_x509_certificate(pem.encode()).fingerprint(certificates.hashes.SHA256()).hex(":")


def sign_in(client: httpx.Client, password: str) -> httpx.Response:
    page = client.get("/accounts/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    form = {"login": "admin", "password": password, "csrfmiddlewaretoken": token[1]}
    return client.post("/accounts/login/", data=form, headers={"Referer": str(page.url)})


def test_a_ward_reaches_the_service_over_tls_only(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        with launched(tmp_path / "data", HOST="0.0.0.0", NOTIFY_SOCKET=str(tmp_path / "notify")) as service:
            service.wait_ready()
            assert systemd.recv(100) == b"READY=1"
            secure = service.url.replace("http://", "https://")
            port = int(secure.rsplit(":", 1)[1])
            file = tmp_path / "data" / "secrets" / "tls.crt"
            assert f"ready {secure}" in service.lines
            first = certificates.fingerprint(file)
            wait_for(lambda: any(first in line for line in service.lines), "printed fingerprint")  # printed last
            assert len([line for line in service.lines if not line.startswith("not ready")]) <= 10
            assert served_fingerprint(port).upper() == first

            trusted = ssl.create_default_context(cafile=str(file))
            with httpx.Client(base_url=secure, verify=trusted, timeout=60) as client:
                answer = sign_in(client, service.admin_password)
                assert answer.status_code == 302
                assert all("Secure" in cookie for cookie in answer.headers.get_list("Set-Cookie"))
                assert "__Host-sessionid" in client.cookies
                assert "Strict-Transport-Security" not in answer.headers
                assert re.search(r"is valid for 8\d\d days", client.get("/queue/doctor/").text)
            with httpx.Client(base_url=secure, verify=trusted, timeout=60) as guest:
                job = clients.upload(guest, synthetic.xray_jpeg()).raise_for_status().json()
                assert job["url"].startswith(secure)
                guest.headers["X-Job-Token"] = job["token"]
                assert clients.wait_final(guest, job["url"])["status"] == "succeeded"
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"{service.url}/", timeout=10)

            # Do what the launcher does when the certificate has changed.
            file.unlink()
            assert certificates.prepare(_config(tmp_path / "data", port), ["127.0.0.1"])
            service.named("gunicorn")[0].send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 60
            while served_fingerprint(port).upper() == first:
                assert time.monotonic() < deadline
                time.sleep(0.5)
            assert served_fingerprint(port).upper() == certificates.fingerprint(file)
        assert systemd.recv(100) == b"STOPPING=1"
        assert service.lines[-1] == "stopped"


def _config(data_dir: Path, port: int) -> certificates.Config:
    return certificates.Config(data_dir=data_dir, host="0.0.0.0", port=port, flower_port=1)
