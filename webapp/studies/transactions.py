"""Transactions that are run again if the database aborted them in favour of others."""

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

P = ParamSpec("P")
R = TypeVar("R")

ATTEMPTS = 5
#: PostgreSQL's serialization failure and deadlock.
SQLSTATES = ("40001", "40P01")
#: MySQL's deadlock, and MariaDB's error for a row that another transaction has changed since it was read.
MYSQL_CODES = (1213, 1020)


def atomically(work: Callable[P, R]) -> Callable[P, R]:
    """Run a function in a transaction, and run it again if the database aborted the transaction to resolve a deadlock.

    Effects outside the database have to wait for the commit (``transaction.on_commit``).
    """

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with transaction.atomic():
                    return work(*args, **kwargs)
            except OperationalError as error:
                # If this runs inside another transaction, the database has aborted the outer one.
                if attempt == ATTEMPTS or connection.in_atomic_block or not was_aborted(error):
                    raise
                time.sleep(random.uniform(0, 0.02 * 2**attempt))
        raise AssertionError("the last attempt returns or raises")

    return run


def was_aborted(error: OperationalError) -> bool:
    """Whether the database aborted a transaction that can be run again."""
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) in SQLSTATES:
        return True
    return connection.vendor == "mysql" and bool(error.args) and error.args[0] in MYSQL_CODES
