"""A file that a process without a port keeps young while all is well, for its container's health check."""

from pathlib import Path

from django.conf import settings


def say(well: bool) -> None:
    """Make the file, or take it away."""
    if not settings.ALIVE_PATH:
        return
    if well:
        Path(settings.ALIVE_PATH).touch()
    else:
        Path(settings.ALIVE_PATH).unlink(missing_ok=True)


def renew() -> None:
    """Keep the file young, where it has been made."""
    if settings.ALIVE_PATH and Path(settings.ALIVE_PATH).exists():
        Path(settings.ALIVE_PATH).touch()
