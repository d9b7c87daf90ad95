"""The proxy's configuration, checked by gixy and served by a real nginx where there is one."""

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
def test_gixy_finds_no_fault(tmp_path: Path, server: str) -> None:
    gixy = Path(sys.executable).with_name("gixy")
    # Django checks the host against ALLOWED_HOSTS, and needs the port that $host lacks.
    skipped = "host_spoofing"
    done = subprocess.run(
        [str(gixy), "--format", "json", "--skips", skipped, str(proxies.render(tmp_path, server, 8080))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout or "[]")
    assert not [(issue["plugin"], issue["severity"], issue["summary"]) for issue in found], done.stdout


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[int]:
    """The port of an nginx whose services behind refuse everybody."""
    behind = free_port()
    refuses = f"server {{ listen 127.0.0.1:{behind}; location / {{ return 401; }} }}\n"
    with proxies.proxy(tmp_path, f"127.0.0.1:{behind}", refuses) as port:
        yield port


def ask(port: int, path: str) -> str:
    """The raw answer to a GET."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()


@pytest.mark.parametrize("path", ["/flower/", "/flower/tasks?limit=5", "/grafana/d/admins"])
def test_who_is_not_signed_in_is_sent_to_the_login_page_and_back(proxy: int, path: str) -> None:
    answer = ask(proxy, path)
    assert answer.startswith("HTTP/1.1 302")
    assert f"Location: /accounts/login/?next={path}\r\n" in answer


@pytest.mark.parametrize("place", ["flower", "grafana"])
@pytest.mark.parametrize("break_", ["%0d%0a", "%0a", "%0D%0A%20"])
def test_a_line_break_in_a_path_plants_no_cookie(proxy: int, place: str, break_: str) -> None:
    answer = ask(proxy, f"/{place}/{break_}Set-Cookie:%20guest=ATTACKER;%20Path=/")
    assert answer.startswith("HTTP/1.1 302")
    assert "\nset-cookie:" not in answer.lower()


def test_what_the_proxy_answers_itself_has_a_security_policy(proxy: int) -> None:
    with socket.create_connection(("127.0.0.1", proxy), 5) as connection:
        connection.sendall(b"POST /predict HTTP/1.0\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n")
        answer = connection.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413")
    assert "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n" in answer


def test_flower_has_the_same_policy_behind_the_proxy_and_the_web_process() -> None:
    assert f'Content-Security-Policy "{flower.POLICY}" always' in (ROOT / "compose/nginx/locations.conf").read_text()
