"""The tables that tests get without migrations are the same as those that the migrations create."""

import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import database

pytestmark = pytest.mark.maintenance

PERMISSIONS = "auth_permission JOIN django_content_type AS kind ON kind.id = content_type_id"
#: Queries for the rows that migrations, and Django after them, write into empty tables, without the ids.
WRITTEN = (
    "SELECT app, name FROM django_migrations",
    "SELECT app_label, codename, auth_permission.name, auth_group.name"
    " FROM django_content_type AS kind LEFT JOIN auth_permission ON content_type_id = kind.id"
    " LEFT JOIN auth_group_permissions ON permission_id = auth_permission.id"
    " LEFT JOIN auth_group ON auth_group.id = group_id",
)


def parts(statement: str) -> list[str]:
    """The columns and constraints of a CREATE statement, sorted: a migration adds columns at the end of a table."""
    return sorted(re.split(r', (?="|CONSTRAINT)', statement.partition("(")[2].removesuffix(")")))


def contents(file: Path) -> tuple[dict[str, list[str]], Counter[str], list[set[Any]]]:
    """The tables and indexes of a database, the number of rows by table, and the rows that migrations write."""
    with closing(sqlite3.connect(file)) as opened:
        tables = opened.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'")
        inserted = [line.split('"')[1] for line in opened.iterdump() if line.startswith('INSERT INTO "')]
        rows = Counter(table for table in inserted if table != "sqlite_sequence")
        return {name: parts(sql) for name, sql in tables}, rows, [set(opened.execute(query)) for query in WRITTEN]


def test_migrations_create_the_tables_that_tests_use(tmp_path: Path) -> None:
    file = tmp_path / "db.sqlite3"
    environment = {**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{file}"}
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(command, cwd=database.ROOT, env=environment, check=True)
    tables, rows, written = contents(file)
    assert contents(database.made()) == (tables, rows, written)
    assert rows.total() > 400
    assert all(written)
