"""Transactions that the database aborts in favour of others are retried; those that fail for another reason are not."""

from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection, transaction

from webapp.studies import transactions
from webapp.studies.transactions import ATTEMPTS, atomically, was_aborted


def deadlock():
    error = OperationalError("deadlock detected")
    error.__cause__ = Exception()
    error.__cause__.sqlstate = "40P01"
    return error


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(transactions, "time", SimpleNamespace(sleep=lambda seconds: None))


def failing(times, error=deadlock):
    runs = []

    @atomically
    def work():
        runs.append(connection.in_atomic_block)
        if len(runs) <= times:
            raise error()
        return "done"

    return work, runs


@pytest.mark.django_db(transaction=True)
def test_a_deadlocked_transaction_is_retried_in_a_new_transaction():
    work, runs = failing(2)
    assert work() == "done"
    assert runs == [True] * 3


@pytest.mark.django_db(transaction=True)
def test_the_number_of_attempts_is_limited():
    work, runs = failing(99)
    with pytest.raises(OperationalError, match="deadlock"):
        work()
    assert len(runs) == ATTEMPTS


@pytest.mark.django_db(transaction=True)
def test_other_errors_are_raised_at_once():
    work, runs = failing(1, lambda: OperationalError("the disk is full"))
    with pytest.raises(OperationalError, match="full"):
        work()
    assert len(runs) == 1


@pytest.mark.django_db(transaction=True)
def test_an_inner_transaction_is_not_retried():
    work, runs = failing(1)
    with pytest.raises(OperationalError), transaction.atomic():
        work()
    assert len(runs) == 1


def test_mysqls_error_numbers_count_only_for_mysql(monkeypatch):
    assert was_aborted(deadlock())
    monkeypatch.setattr(transactions, "connection", SimpleNamespace(vendor="mysql"))
    assert was_aborted(OperationalError(1213, "Deadlock found"))
    assert not was_aborted(OperationalError(2006, "gone away"))
    monkeypatch.setattr(transactions, "connection", SimpleNamespace(vendor="sqlite"))
    assert not was_aborted(OperationalError(1213))
