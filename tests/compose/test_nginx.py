"""The proxy's configuration, checked by gixy and served by a real nginx where there is one."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.local.resources import free_port

NGINX = Path(__file__).resolve().parents[2] / "compose" / "nginx"
VALUES = {
    "IMAGE_BODY": "1048576", "STUDY_BODY": "1048576", "HTTPS_SUFFIX": "", "RESOLVER": "127.0.0.1",
    "TRUSTED_PROXY": "127.0.0.1",
}  # fmt: skip


def render(folder: Path, server: str, port: int) -> Path:
    """The configuration as start.sh writes it, in a folder of the test's own and on its own port."""
    for source in NGINX.glob("*.conf"):
        text = re.sub(r"/tmp/(nginx/)?", f"{folder}/", source.read_text())
        text = text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/dev/stdout", f"{folder}/access.log")
        for name, value in {**VALUES, "SERVER": server}.items():
            text = text.replace("${" + name + "}", value)
        (folder / source.name).write_text(text)
    return folder / "nginx.conf"


@pytest.mark.parametrize("server", ["plain.conf", "tls.conf"])
def test_gixy_finds_no_fault(tmp_path: Path, server: str) -> None:
    gixy = Path(sys.executable).with_name("gixy")
    # Django checks the host against ALLOWED_HOSTS, and needs the port that $host lacks.
    skipped = "host_spoofing"
    done = subprocess.run(
        [str(gixy), "--format", "json", "--skips", skipped, str(render(tmp_path, server, 8080))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout or "[]")
    assert not [(issue["plugin"], issue["severity"], issue["summary"]) for issue in found], done.stdout


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[int]:
    """The port of an nginx whose services behind refuse everybody."""
    if not shutil.which("nginx"):
        pytest.skip("needs nginx: apt-get install nginx-light")
    port, behind = free_port(), free_port()
    answers = tmp_path / "behind.conf"
    config = render(tmp_path, "plain.conf", port)
    answers.write_text(f"server {{ listen 127.0.0.1:{behind}; location / {{ return 401; }} }}\n")
    text = config.read_text().replace("include /etc/nginx/mime.types;", "")
    config.write_text(
        text.replace(f"include {tmp_path}/plain.conf;", f"include {tmp_path}/plain.conf;\ninclude {answers};")
    )
    locations = tmp_path / "locations.conf"
    locations.write_text(locations.read_text().replace("set $web web:8000;", f"set $web 127.0.0.1:{behind};"))
    command = ["nginx", "-p", str(tmp_path), "-e", "stderr", "-c", str(config), "-g", "daemon off; master_process off;"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "LANG": "C"}) as process:
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nginx does not listen")


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
