"""A file that a process without a port touches while it is healthy, for the health check of its container."""

from pathlib import Path

from django.conf import settings


def mark(*, healthy: bool) -> None:
    """Create the file, or remove it."""
    if not settings.ALIVE_PATH:
        return
    if healthy:
        Path(settings.ALIVE_PATH).touch()
    else:
        Path(settings.ALIVE_PATH).unlink(missing_ok=True)


def renew() -> None:
    """Touch the file if it exists."""
    if settings.ALIVE_PATH and Path(settings.ALIVE_PATH).exists():
        Path(settings.ALIVE_PATH).touch()
