"""The proxy's configuration, checked by gixy and, if it is installed, by a real nginx."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.local.resources import free_port
from tests import proxies
from tests.service import ROOT
from webapp.queues import flower


@pytest.mark.parametrize("server", ["plain.conf", "tls.conf"])
def test_gixy_finds_no_issue(tmp_path: Path, server: str) -> None:
    gixy = Path(sys.executable).with_name("gixy")
    # Django checks the host against ALLOWED_HOSTS, and needs the port that $host lacks.
    skipped = "host_spoofing"
    completed = subprocess.run(
        [str(gixy), "--format", "json", "--skips", skipped, str(proxies.render(tmp_path, server, 8080))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    issues = json.loads(completed.stdout or "[]")
    assert not [(issue["plugin"], issue["severity"], issue["summary"]) for issue in issues], completed.stdout


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[int]:
    """Run an nginx in front of services that answer 401 to everybody; yield its port."""
    backend_port = free_port()
    backend = f"server {{ listen 127.0.0.1:{backend_port}; location / {{ return 401; }} }}\n"
    with proxies.proxy(tmp_path, f"127.0.0.1:{backend_port}", backend) as port:
        yield port


def get(port: int, path: str) -> str:
    """The raw answer to a GET."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()


@pytest.mark.parametrize("path", ["/flower/", "/flower/tasks?limit=5", "/grafana/d/admins"])
def test_guests_are_redirected_to_the_login_page_and_back(proxy: int, path: str) -> None:
    answer = get(proxy, path)
    assert answer.startswith("HTTP/1.1 302")
    assert f"Location: /accounts/login/?next={path}\r\n" in answer


@pytest.mark.parametrize("program", ["flower", "grafana"])
@pytest.mark.parametrize("break_", ["%0d%0a", "%0a", "%0D%0A%20"])
def test_a_line_break_in_a_path_cannot_set_a_cookie(proxy: int, program: str, break_: str) -> None:
    answer = get(proxy, f"/{program}/{break_}Set-Cookie:%20guest=ATTACKER;%20Path=/")
    assert answer.startswith("HTTP/1.1 302")
    assert "\nset-cookie:" not in answer.lower()


def test_the_proxys_own_answers_have_a_security_policy(proxy: int) -> None:
    with socket.create_connection(("127.0.0.1", proxy), 5) as connection:
        connection.sendall(b"POST /predict HTTP/1.0\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n")
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413")
    assert "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n" in answer


def test_the_proxy_and_the_web_process_give_flower_the_same_policy() -> None:
    assert f'Content-Security-Policy "{flower.POLICY}" always' in (ROOT / "compose/nginx/locations.conf").read_text()
