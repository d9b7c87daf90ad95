"""The plans of ``tests/webapp/test_plans.py`` on a PostgreSQL, where one is installed."""

import os
import subprocess
import sys

import pytest

from tests import servers
from tests.service import ROOT


@pytest.mark.maintenance
@pytest.mark.skipif(servers.postgresql_programs() is None, reason="PostgreSQL is not installed")
def test_no_query_reads_a_whole_table_on_postgresql():
    with servers.local_postgresql() as url:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--create-db", "tests/webapp/test_plans.py"],
            cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert "skipped" not in done.stdout
