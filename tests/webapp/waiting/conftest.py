"""Long-polling: fixtures and helpers. The tests run the application under ASGI."""

import time

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from webapp.accounts import identity as identities

TOO_LONG = 5.0
in_thread = sync_to_async(thread_sensitive=False)


@pytest.fixture(autouse=True)
def _no_connection_is_left():
    """Close the connection; threads of the ended event loop have their own."""
    yield
    connection.close()


@pytest.fixture
def owned(guest):
    """Fields of an object that the guest owns, and the header that proves who the guest is."""
    return {"guest": guest.guest}, {"X-Job-Token": identities.make_token(guest.guest)}


async def timed(awaitable):
    started = time.monotonic()
    answer = await awaitable
    return answer, time.monotonic() - started
