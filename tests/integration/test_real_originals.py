"""Real X-rays at full resolution through the service, beside their small twins on the command line."""

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
def twins(originals: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The result of `python -m ml predict` for the 224-pixel twin of each original, by file name."""
    folder = tmp_path_factory.mktemp("twins")
    wanted = {file.name for file in originals}
    with tarfile.open(DATA / "chest_xray_224_train.tar") as tar:
        for member in tar:
            if (name := Path(member.name).name) in wanted and (content := tar.extractfile(member)):
                (folder / name).write_bytes(content.read())
    files = sorted(folder.iterdir())
    assert len(files) == len(originals)
    subprocess.run(
        [sys.executable, "-m", "ml", "predict", "--model", bundle(), "--json", folder / "report.json", *files],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return {Path(row["file"]).name: row for row in json.loads((folder / "report.json").read_text())}


def test_a_study_of_all_originals_agrees_with_their_twins(
    service: Service, originals: list[Path], twins: dict[str, dict]
) -> None:
    packed = synthetic.zip_of({file.name: file.read_bytes() for file in originals})
    with clients.admin(service) as by:
        study = by.post("/api/v1/studies/", files={"files": ("originals.zip", packed)}).json()
        assert study["total"] == len(originals)
        etas = []
        while study["status"] not in ("finished", "cancelled"):
            study = by.get(study["url"], params={"wait": 1}).json()
            etas.append(study["eta_seconds"])
        rows = list(csv.DictReader(io.StringIO(by.get(study["results_url"]).text)))
    assert study["counts"]["succeeded"] == len(rows) == len(originals)
    assert any(eta for eta in etas), "no remaining time was shown while it ran"
    differences = [abs(float(row["probability"]) - twins[row["filename"]]["probability"]) for row in rows]
    same = sum(row["label"] == twins[row["filename"]]["label"] for row in rows)
    print(f"\n{len(rows)} originals: median difference {statistics.median(differences):.4f}, "
          f"largest {max(differences):.4f}, {same} labels the same")  # fmt: skip
    assert statistics.median(differences) < 0.1
    assert same >= 0.95 * len(rows)
