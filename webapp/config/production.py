"""Checks of the settings at startup: in production, the service refuses secrets that are missing or easy to guess."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

ENVIRONMENTS = ("development", "production")
#: Host names that only this machine and its containers use.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]", "testserver", "web")
#: Shorter secrets can be found by trying them all.
SHORTEST_PASSWORD = 12
SHORTEST_KEY = 32
#: Default values of examples, images and installers. They add no entropy to a secret.
DEFAULTS = (
    "admin", "change", "default", "example", "guest", "insecure", "letmein", "minio", "password", "pneumoqueue",
    "postgres", "qwerty", "redis", "root", "secret", "todo", "123456",
)  # fmt: skip


def is_weak(secret: str, shortest: int = SHORTEST_PASSWORD) -> bool:
    """Whether a secret is missing, too short, made of too few different characters, or a well-known default."""
    rest = secret.lower()
    for default in DEFAULTS:
        rest = rest.replace(default, "")
    return len(rest) < shortest or len(set(rest)) < 6


def problems(
    *,
    debug: bool,
    secret_key: str,
    database: Mapping[str, Any],
    brokers: Mapping[str, str],
    others: Mapping[str, str],
    plain_hosts: Sequence[str] = (),
) -> list[str]:
    """The errors in the settings of a service in production. Each says what to set instead.

    Args:
        secret_key: the key in the environment; empty if there is none.
        database: one of Django's ``DATABASES``.
        brokers: URLs by the names of their settings. Each URL needs a password.
        others: further secrets by name. An empty one is not in use.
        plain_hosts: host names under which the service responds without TLS.
    """
    found = []
    if debug:
        found.append("DEBUG is on: it shows settings and code to everybody. Remove it.")
    if is_weak(secret_key, SHORTEST_KEY):
        found.append(f"SECRET_KEY is missing or weak. Set {SHORTEST_KEY} random characters or more.")
    if not database["ENGINE"].endswith("sqlite3") and is_weak(database.get("PASSWORD") or ""):
        found.append(
            f"The password in DATABASE_URL is missing or weak. Set {SHORTEST_PASSWORD} random characters or more."
        )
    for name, url in brokers.items():
        if is_weak(_password(url)):
            found.append(
                f"The password in {name} is missing or weak. Set {SHORTEST_PASSWORD} random characters or more."
            )
    for name, value in others.items():
        if value and is_weak(value):
            found.append(f"{name} is weak. Set {SHORTEST_PASSWORD} random characters or more.")
    if exposed := [host for host in plain_hosts if host and host not in LOCAL_HOSTS]:
        found.append(
            f"{', '.join(exposed)} would be served without TLS, and passwords and X-rays sent in clear. Set up TLS "
            "(compose/tls.yml, or a balancer with SECURE_COOKIES=true); ALLOW_PLAIN_HTTP=true accepts the risk."
        )
    return found


def _password(url: str) -> str:
    """The password of the first server in a URL, which may list several servers, separated by semicolons."""
    return unquote(urlsplit(url.partition(";")[0]).password or "")


def refuse(environment: str, found: Sequence[str]) -> None:
    """Refuse to start if that would be unsafe.

    Raises:
        ImproperlyConfigured: the environment is unknown, or it is production and there are problems.
    """
    if environment not in ENVIRONMENTS:
        raise ImproperlyConfigured(f"ENVIRONMENT={environment} is not known; use {' or '.join(ENVIRONMENTS)}.")
    if environment == "production" and found:
        raise ImproperlyConfigured(
            "PneumoQueue does not start in production like this:\n"
            + "\n".join(f"- {problem}" for problem in found)
            + "\n`make env` writes a .env with random secrets; each may also be given as NAME_FILE, a file's path."
        )
