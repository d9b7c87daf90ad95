"""Tests here run where there is a container engine, and say so where there is none."""

from functools import cache

import docker
import pytest


@cache
def engine_missing() -> str:
    """Why no container can be started; empty where one can."""
    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        return f"no container engine: {error}"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not any(item.get_closest_marker("docker") for item in items):
        return
    if reason := engine_missing():
        for item in items:
            if item.get_closest_marker("docker"):
                item.add_marker(pytest.mark.skip(reason=reason))
