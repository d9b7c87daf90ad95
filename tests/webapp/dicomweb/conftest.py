"""A department, and a program that is its uploader."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from tests.webapp.clients import Client
from webapp.config.asgi import application


@pytest.fixture
def department(make_department: Any, user: Any) -> Any:
    return make_department("radiology", uploader=user)


@pytest.fixture
def scanner(department: Any, user_client: Client) -> Client:
    return user_client


@pytest.fixture
def token(scanner: Client) -> str:
    """What the program says who it is by."""
    return str(scanner.defaults["HTTP_AUTHORIZATION"]).replace("Token", "Bearer")


@pytest.fixture
def served(transactional_db: None) -> Iterator[str]:
    """The web application at a port of this machine, by the server that the service has; its URL."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
