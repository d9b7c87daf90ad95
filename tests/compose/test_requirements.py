"""Every installed package is locked with its hashes, and no lock names an index."""

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from compose.local.config import ROOT

FOLDER = ROOT / "requirements"
#: `make` installs it in the folder of Python.
UV = Path(sys.executable).with_name("uv")
LISTS = sorted(FOLDER.glob("*.in"))
#: Names of the lists that have separate locks.
SEPARATE = ("bootstrap", "peers")


def locked(name: str) -> dict[str, list[str]]:
    """The packages of a lock, with their hashes."""
    packages: dict[str, list[str]] = {}
    for block in re.split(r"\n(?=\S)", (FOLDER / name).read_text()):
        requirement, *hashes = re.split(r"\s*\\\n\s*--hash=", block.split("\n    #")[0])
        parsed = Requirement(requirement)
        assert re.fullmatch(r"==[^,*]+", str(parsed.specifier)), block
        packages[canonicalize_name(parsed.name)] = hashes
    return packages


@pytest.mark.parametrize("file", LISTS, ids=lambda file: file.stem)
def test_every_package_of_a_list_is_locked(file: Path) -> None:
    lock = locked(f"{file.stem if file.stem in SEPARATE else 'lock'}.txt")
    lines = [line.split(" #")[0] for line in file.read_text().splitlines() if line and line[0] not in "#-"]
    assert lines
    for line in lines:
        assert canonicalize_name(Requirement(line).name) in lock, f"{line}: run `make lock`"


@pytest.mark.parametrize("name", [f"{name}.txt" for name in (*SEPARATE, "lock")])
def test_every_package_has_hashes_and_no_url(name: str) -> None:
    assert all(hashes for hashes in locked(name).values())
    assert "://" not in (FOLDER / name).read_text()


def test_uv_refuses_a_package_whose_hash_is_not_the_locked_one(tmp_path: Path) -> None:
    """The lists are installed with the lock as constraints, and uv must check its hashes then too."""
    wheel = make_wheel(tmp_path / "index")
    (tmp_path / "list.in").write_text("example-package\n")
    for digest, status in ((hashlib.sha256(wheel.read_bytes()).hexdigest(), 0), ("0" * 64, 1)):
        (tmp_path / "lock.txt").write_text(f"example-package==1.0 --hash=sha256:{digest}\n")
        completed = subprocess.run(
            [UV, "pip", "install", "--no-index", "--find-links", wheel.parent, "--no-cache", "--no-config",
             "--python", sys.executable, "--target", tmp_path / digest, "-c", "lock.txt", "-r", "list.in"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert bool(completed.returncode) == bool(status), completed.stderr
    assert "Hash mismatch" in completed.stderr


def make_wheel(folder: Path) -> Path:
    folder.mkdir()
    wheel = folder / "example_package-1.0-py3-none-any.whl"
    info = "example_package-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("example_package.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: example-package\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(
            f"{info}/RECORD", f"example_package.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return wheel
