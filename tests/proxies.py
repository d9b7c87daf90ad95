"""Runs this machine's nginx with the project's configuration, in a separate folder and on a separate port."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compose.local.resources import free_port

NGINX = Path(__file__).resolve().parents[1] / "compose" / "nginx"
VALUES = {
    "IMAGE_BODY": "1048576", "STUDY_BODY": "1048576", "HTTPS_SUFFIX": "", "RESOLVER": "127.0.0.1",
    "TRUSTED_PROXY": "127.0.0.1",
}  # fmt: skip


def render(folder: Path, server: str, port: int, **values: str) -> Path:
    """Write the configuration as start.sh does, but for the test's folder and port."""
    for source in NGINX.glob("*.conf"):
        text = re.sub(r"/tmp/(nginx/)?", f"{folder}/", source.read_text())
        text = text.replace("listen 8080", f"listen 127.0.0.1:{port}").replace("/dev/stdout", f"{folder}/access.log")
        for name, value in {**VALUES, "SERVER": server, **values}.items():
            text = text.replace("${" + name + "}", value)
        (folder / source.name).write_text(text)
    return folder / "nginx.conf"


@contextmanager
def proxy(folder: Path, web: str, more: str = "", **values: str) -> Iterator[int]:
    """Run an nginx in front of a web process; yield its port.

    Args:
        folder: where nginx stores its files.
        web: the web process' address and port.
        more: further servers, as nginx configuration.
        values: values of the variables that start.sh fills in.
    """
    if not shutil.which("nginx"):
        pytest.skip("needs nginx: apt-get install nginx-light")
    port = free_port()
    config = render(folder, "plain.conf", port, **values)
    (folder / "more.conf").write_text(more)
    text = config.read_text().replace("include /etc/nginx/mime.types;", "")
    config.write_text(
        text.replace(f"include {folder}/plain.conf;", f"include {folder}/plain.conf;\ninclude {folder}/more.conf;")
    )
    locations = folder / "locations.conf"
    locations.write_text(locations.read_text().replace("set $web web:8000;", f"set $web {web};"))
    command = ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(config), "-g", "daemon off; master_process off;"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "LANG": "C"}) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nginx does not listen")
