"""Settings of each kind of database. All of them run transactions at READ COMMITTED or stricter, which the
compare-and-set statements in :mod:`webapp.studies.services` rely on.
"""

from typing import Any

import environ

#: Seconds that a statement waits for a lock held by another process.
LOCK_SECONDS = 20


def from_url(url: str) -> dict[str, Any]:
    """Django's settings of the database at a URL. Options in the URL's query override those given here.

    Args:
        url: ``sqlite:///…``, ``postgres://…``, ``mysql://…`` or ``mariadb://…``.
    """
    if url.startswith("mariadb://"):
        url = url.replace("mariadb", "mysql", 1)
    database: dict[str, Any] = environ.Env.db_url_config(url)
    database["CONN_MAX_AGE"] = None
    engine = database["ENGINE"].rsplit(".", 1)[-1]
    if engine == "sqlite3":
        options = _sqlite()
    else:
        # The database server may have been restarted since the last request.
        database["CONN_HEALTH_CHECKS"] = True
        if engine == "mysql":
            options = _mysql()
            database["TEST"] = {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_bin"}
        else:
            options = _postgresql()
    database["OPTIONS"] = {**options, **database.get("OPTIONS", {})}
    return database


def _sqlite() -> dict[str, Any]:
    return {
        # A transaction waits for the write lock when it begins. Upgrading a read lock later can fail without waiting.
        "transaction_mode": "IMMEDIATE",
        "timeout": LOCK_SECONDS,
        # Commits must survive a power cut, in workers too: if a commit were undone, a file that was deleted after it
        # would not come back.
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;",
    }


def _postgresql() -> dict[str, Any]:
    from psycopg import IsolationLevel

    return {
        "isolation_level": IsolationLevel.READ_COMMITTED,
        "connect_timeout": 5,
        "options": f"-c lock_timeout={LOCK_SECONDS}s",
        # Notice within a minute that a server has vanished without closing the connection.
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 50_000,
    }


def _mysql() -> dict[str, Any]:
    import pymysql

    pymysql.install_as_MySQLdb()
    return {
        "isolation_level": "read committed",
        "charset": "utf8mb4",
        "connect_timeout": 5,
        "read_timeout": 300,
        "write_timeout": 60,
        "init_command": f"SET sql_mode='TRADITIONAL', innodb_lock_wait_timeout={LOCK_SECONDS}",
    }
