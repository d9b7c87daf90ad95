"""Workers that have reported, and a database that is down."""

from uuid import NAMESPACE_DNS, uuid5

import pytest
from django.db import DatabaseError

from webapp.ops import services


def worker_id(name):
    return uuid5(NAMESPACE_DNS, name)


def report(name, role, **facts):
    services.report_worker(worker_id(name), name, role, **facts)


@pytest.fixture
def workers(db):
    report("ingest@a", "ingest", ready=True)
    report("bulk@a", "bulk", ready=True)
    report("infer@a", "infer", ready=True, model="net-1.0.0", engine="mnn", device="cpu", max_batch=16)


def no_database(execute, sql, params, many, context):
    raise DatabaseError("gone")
