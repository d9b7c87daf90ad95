"""Plans of queries on PostgreSQL, if it is installed."""

import os
import subprocess
import sys

import pytest

from tests import servers
from tests.service import ROOT

PLANS = ("tests/webapp/test_plans.py", "tests/webapp/test_parts.py")


@pytest.mark.maintenance
@pytest.mark.skipif(servers.postgresql_programs() is None, reason="PostgreSQL is not installed")
def test_no_query_reads_a_whole_table_on_postgresql():
    with servers.local_postgresql() as url:
        completed = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--create-db", *PLANS],
            cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True,
        )  # fmt: skip
    assert completed.returncode == 0, completed.stdout[-5000:]
    assert " 1 skipped" in completed.stdout, "the test of SQLite's plans"
