"""A department, and a client program that uploads to it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import dicomweb
from tests.webapp.clients import Client


@pytest.fixture
def department(make_department: Any, user: Any) -> Any:
    return make_department("radiology", uploader=user)


@pytest.fixture
def scanner(department: Any, user_client: Client) -> Client:
    return user_client


@pytest.fixture
def token(scanner: Client) -> str:
    """The client program's Authorization header."""
    return str(scanner.defaults["HTTP_AUTHORIZATION"]).replace("Token", "Bearer")


@pytest.fixture
def served(transactional_db: None) -> Iterator[str]:
    with dicomweb.served() as url:
        yield url
