"""The commands in docs/api.md work and return the documented answers."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import clients, dicomweb, modality, synthetic
from tests.conftest import DATA
from tests.service import ROOT, Service

pytestmark = [pytest.mark.integration, pytest.mark.long]

DOCS = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"
#: Values that depend on the picture, which is another one without the data set.
VARIES = {"label", "probability", "result_group", "reliable"}


def examples() -> Iterator[tuple[str, str]]:
    """Each curl command of docs/api.md, with the output shown below it."""
    for block in re.findall(r"^```console\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL):
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = re.sub(r" *\\\n *", " ", text).partition("\n")
            if command.startswith("curl"):
                yield command, shown.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the commands send."""
    real = sorted(DATA.glob("originals/PNEUMONIA/*.jpeg"))
    (tmp_path / "chest.jpeg").write_bytes(real[0].read_bytes() if real else synthetic.xray_jpeg(3))
    (tmp_path / "one.png").write_bytes(synthetic.xray_png(size=(120, 100)))
    tiny = [synthetic.xray_jpeg(seed, (80, 80)) for seed in range(5)]
    (tmp_path / "study.zip").write_bytes(synthetic.zip_of({f"{n}.jpg": tiny[n % 5] for n in range(12)}))
    instance = dicomweb.file(modality.image())
    (tmp_path / "body").write_bytes(b"--x\r\nContent-Type: application/dicom\r\n\r\n" + instance + b"\r\n--x--\r\n")
    return tmp_path


def test_the_commands_return_the_documented_answers(service: Service, folder: Path) -> None:
    replacements = {
        ADDRESS: service.url,
        "Authorization: Token …": f"Authorization: Token {clients.token(service)}",
        "Authorization: Bearer …": f"Authorization: Bearer {clients.scanners_token(service, 'chest-clinic')}",
        '"username": "kim", "password": "…"': f'"username": "admin", "password": "{service.admin_password}"',
    }
    count = 0
    for command, shown in examples():
        answer = run(replaced(command, replacements), folder)
        if shown:
            compare_and_learn(read(shown), json.loads(answer), replacements, command)
        count += 1
    assert count >= 7


def run(command: str, folder: Path) -> str:
    """Run a command unchanged; curl's ``--fail-with-body`` fails for every status other than 2xx."""
    program = f'curl() {{ command curl --fail-with-body --max-time 90 "$@"; }}; {command}'
    completed = subprocess.run(["bash", "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, f"{command}\n{completed.stdout}{completed.stderr}"
    return completed.stdout


def read(shown: str) -> Any:
    """Parse an answer as the docs show it: “…” stands for further values, or for the rest of a value."""
    return json.loads(re.sub(r", …(?=[\]}])", "", shown))


def replaced(command: str, replacements: dict[str, str]) -> str:
    for documented, real in replacements.items():
        command = command.replace(documented, real)
    return command


def compare_and_learn(documented: Any, real: Any, replacements: dict[str, str], where: str) -> None:
    for key, value in documented.items():
        assert key in real, f"{where}: the answer has no “{key}”"
        actual = real[key]
        if isinstance(value, dict):
            compare_and_learn(value, actual, replacements, where)
        elif isinstance(value, str) and re.fullmatch(r"\w+…", value):
            assert actual, f"{where}: “{key}”"
            replacements.setdefault(value, actual)
        elif key not in VARIES:
            expected = replaced(value, replacements) if isinstance(value, str) else value
            assert actual == expected, f"{where}: “{key}”"


def test_the_python_client_prints_the_table(service: Service, folder: Path) -> None:
    program = next(block for block in re.findall(r"^```python\n(.*?)^```", DOCS, re.M | re.S) if "requests" in block)
    assert len(program.splitlines()) < 16
    (folder / "client.py").write_text(program, encoding="utf-8")
    environment = {**os.environ, "PNEUMOQUEUE_URL": service.url, "PNEUMOQUEUE_TOKEN": clients.token(service)}
    completed = subprocess.run(
        [sys.executable, "client.py", "chest.jpeg", "one.png"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stderr
    table = completed.stdout.splitlines()
    assert table[0].startswith("row,filename,patient,status,label")
    assert len(table) == 3
