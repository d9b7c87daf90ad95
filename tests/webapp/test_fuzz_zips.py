"""Generated ZIPs: the service reads each, or refuses it with a code."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz import zip_cases
from webapp.studies.models import Archive

QUICK, LONG, GUIDED = 1500, 70_000, 50_000
#: ZIPs that earlier versions read wrongly.
ONCE_READ_WRONGLY = sorted((Path(__file__).parents[1] / "fuzz" / "found").glob("*.zip"))


def run(numbers):
    totals = Counter()
    for number in numbers:
        try:
            totals[zip_cases.check(zip_cases.case(number))] += 1
        except Exception as error:
            raise AssertionError(f"case {number}: {error!r}") from error
    print(f"\n{sum(totals.values())} ZIPs: {dict(totals.most_common())}")
    return totals


@pytest.mark.parametrize("path", ONCE_READ_WRONGLY, ids=lambda path: path.name)
def test_each_zip_that_was_once_read_wrongly_is_read_or_refused_with_a_code(path):
    zip_cases.check(path.read_bytes())


@pytest.mark.long
def test_each_zip_is_read_or_refused_with_a_code():
    totals = run(range(QUICK))
    assert totals["read"] > QUICK / 5, "enough cases must get as far as their entries"
    assert len(totals) > 4


@pytest.mark.long
def test_each_file_of_an_accepted_zip_is_listed(client, unpack_all):
    accepted = 0
    for number in range(100):
        answer = client.upload_study({"a.zip": zip_cases.case(number)})
        assert answer.status_code < 500
        archive = Archive.objects.filter(state=Archive.State.QUEUED).first()
        if archive is None:
            continue
        unpack_all()
        archive.refresh_from_db()
        assert (archive.state, archive.images.count()) == (Archive.State.UNPACKED, archive.total), number
        assert client.get(answer.json()["url"]).json()["total"] == archive.total
        accepted += 1
    assert accepted > 10


@pytest.mark.fuzz
def test_each_of_very_many_zips_is_read_or_refused_with_a_code():
    run(range(QUICK, QUICK + LONG))


@pytest.mark.fuzz
def test_guided_fuzzing_finds_no_zip_that_is_neither_read_nor_refused():
    pytest.importorskip("atheris", reason="atheris has wheels for Linux on x86-64 only")
    command = [sys.executable, "-m", "tests.fuzz.guided", f"-runs={GUIDED}", "-seed=1"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert f"Done {GUIDED} runs" in done.stderr
