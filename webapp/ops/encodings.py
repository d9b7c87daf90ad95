"""System check of databases' encodings, so that every text is stored unchanged."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections


@register(Tags.database)
def check_encoding(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """PostgreSQL has to use UTF-8. MySQL should distinguish "p-1" from "P-1", which may be two patients."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        if connection.vendor == "postgresql":
            if (encoding := _query(alias, "SHOW server_encoding")) != "UTF8":
                messages.append(
                    Error(f"The database keeps {encoding}.", hint="CREATE DATABASE … ENCODING 'UTF8'", id="ops.E1")
                )
        elif connection.vendor == "mysql":
            collation = _query(alias, "SELECT @@collation_database")
            if not collation.startswith("utf8mb4"):
                hint = "ALTER DATABASE … CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
                messages.append(Error(f"The database's collation is {collation}.", hint=hint, id="ops.E2"))
            elif collation.endswith("_ci"):
                hint = "ALTER DATABASE … COLLATE utf8mb4_bin, before its tables are made"
                messages.append(Warning(f"{collation} takes 'p-1' and 'P-1' for one patient.", hint=hint, id="ops.W1"))
    return messages


def _query(alias: str, sql: str) -> str:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)
        return str(cursor.fetchone()[0])
