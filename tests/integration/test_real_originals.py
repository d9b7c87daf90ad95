"""The service's results for full-resolution X-rays agree with those of the command line for small copies."""

import csv
import io
import json
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests import clients, synthetic
from tests.conftest import DATA
from tests.service import ROOT, Service, bundle

# Reading all originals twice takes a minute.
pytestmark = [pytest.mark.integration, pytest.mark.real_data, pytest.mark.maintenance]


@pytest.fixture(scope="module")
def small_copies(originals: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Results of `python -m ml predict` for the 224-pixel copy of each original, by file name."""
    folder = tmp_path_factory.mktemp("twins")
    names = {file.name for file in originals}
    with tarfile.open(DATA / "chest_xray_224_train.tar") as tar:
        for member in tar:
            if (name := Path(member.name).name) in names and (content := tar.extractfile(member)):
                (folder / name).write_bytes(content.read())
    files = sorted(folder.iterdir())
    assert len(files) == len(originals)
    subprocess.run(
        [sys.executable, "-m", "ml", "predict", "--model", bundle(), "--json", folder / "report.json", *files],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return {Path(row["file"]).name: row for row in json.loads((folder / "report.json").read_text())}


def test_results_of_all_originals_agree_with_their_small_copies(
    service: Service, originals: list[Path], small_copies: dict[str, dict]
) -> None:
    packed = synthetic.zip_of({file.name: file.read_bytes() for file in originals})
    with clients.admin(service) as api:
        study = api.post("/api/v1/studies/", files={"files": ("originals.zip", packed)}).json()
        assert study["total"] == len(originals)
        etas = []
        while study["status"] not in ("finished", "cancelled"):
            study = api.get(study["url"], params={"wait": 1}).json()
            etas.append(study["eta_seconds"])
        rows = list(csv.DictReader(io.StringIO(api.get(study["results_url"]).text)))
    assert study["counts"]["succeeded"] == len(rows) == len(originals)
    assert any(eta for eta in etas), "the remaining time was never shown"
    differences = [abs(float(row["probability"]) - small_copies[row["filename"]]["probability"]) for row in rows]
    same = sum(row["label"] == small_copies[row["filename"]]["label"] for row in rows)
    print(f"\n{len(rows)} originals: median difference {statistics.median(differences):.4f}, "
          f"largest {max(differences):.4f}, {same} equal labels")  # fmt: skip
    assert statistics.median(differences) < 0.1
    assert same >= 0.95 * len(rows)
