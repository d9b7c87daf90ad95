"""Inspects how the database plans the queries of a block of code."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection

#: Tables that can have a million rows.
LARGE = ("studies_image", "studies_study", "studies_patient", "studies_reading", "sharing_share", "notifications_news")


def pretend_a_million_rows() -> None:
    """Let SQLite plan the queries of this transaction as if there were a million images.

    Its statistics hold the numbers of rows and of distinct values, but not that most rows share one value, so that it
    takes rare values for frequent ones.
    """
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("DELETE FROM sqlite_stat1")
        for line in (Path(__file__).parent / "million_rows.txt").read_text().splitlines()[1:]:
            table, index, numbers = line.split(maxsplit=2)
            cursor.execute("SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = %s", [index])
            assert cursor.fetchone(), f"{index} is gone: measure again"
            cursor.execute("INSERT INTO sqlite_stat1 VALUES (%s, %s, %s)", [table, index, numbers])
        cursor.execute("ANALYZE sqlite_schema")


@dataclass
class Queries:
    """The queries of a block, and their plans.

    Attributes:
        statements: SQL and parameters of each query, in the order of execution.
    """

    statements: list[tuple[str, Any]] = field(default_factory=list)

    def bad_plans(self) -> list[str]:
        """The queries that read a whole table or sort many rows, each with its plan.

        PostgreSQL rightly sorts the few rows of a test, so there only reading a whole table counts.
        """
        return [f"{sql}\n{plan}" for sql, plan in self.plans() if self._is_bad(sql, plan)]

    def plans(self) -> list[tuple[str, str]]:
        """The SQL of each query with its plan."""
        return list(map(self._plan, self.statements))

    def _plan(self, statement: tuple[str, Any]) -> tuple[str, str]:
        sql, params = statement
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
                return sql, "\n".join(str(row[3]) for row in cursor.fetchall())
            # PostgreSQL rightly scans tables of a few rows. The question is whether an index could be used instead.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}", params)
            return sql, "\n".join(str(row[0]) for row in cursor.fetchall())

    def _is_bad(self, sql: str, plan: str) -> bool:
        # Rows of a list of ids, of one patient or study, or of one claim are few and may be sorted.
        newest = re.search(r'ORDER BY "(\w+)"\."id" DESC LIMIT', sql)
        few = any(found in plan for found in ("(id=?)", "(patient_id=?)", "(study_id=?)")) or '"claim" = ' in sql
        lines = plan.splitlines()
        # A limited subquery can have the name of its table.
        limited = [name for name in LARGE if f"CO-ROUTINE {name}" in lines]
        for name in limited:
            lines.remove(f"SCAN {name}")
        # The first rows of a list's parts are merged by one more sort, but the parts themselves are not sorted.
        if plan.count("TEMP B-TREE FOR ORDER BY") > plan.count("SCAN part") + len(limited) and not few:
            return True
        for line in lines:
            scans = line.startswith("SCAN ") or "Seq Scan on" in line
            # SQLite stores rows in the order of their key, so it reads only the last ones.
            if newest and line == f"SCAN {newest[1]}" and "TEMP B-TREE" not in plan:
                continue
            # A list follows its index only until the page is full.
            if scans and any(table in line for table in LARGE) and not ("USING" in line and "LIMIT" in sql):
                return True
        return False


@contextmanager
def recorded() -> Iterator[Queries]:
    """Record the queries of a block that read, change or delete rows of the large tables."""
    queries = Queries()

    def record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("SELECT", "UPDATE", "DELETE")) and any(table in sql for table in LARGE):
            queries.statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(record):
        yield queries
