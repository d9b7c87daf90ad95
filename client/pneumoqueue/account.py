"""The server and the account to use: from the login file or the environment."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pneumoqueue.errors import NotSignedIn, UsageError


@dataclass(frozen=True)
class Account:
    """A server's address, the token that it gave, and whose it is."""

    url: str
    token: str
    name: str

    @property
    def key(self) -> str:
        """Identifies this account, also after another sign-in."""
        return f"{self.url} {self.name or hashlib.sha256(self.token.encode()).hexdigest()}"


def folder() -> Path:
    """The user's folder for settings of this program."""
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "pneumoqueue"


def own_folder(path: Path) -> Path:
    """Make a folder that nobody else may read."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def login_file() -> Path:
    return folder() / "login.json"


def clean_url(text: str) -> str:
    """A server's address as it is kept.

    Raises:
        UsageError: it is none.
    """
    url = text.strip()
    url = (url if "://" in url else f"https://{url}").rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{text!r} is no server's address. Write it like https://xray.example.")
    return url


def saved() -> Account | None:
    """The account saved by ``login``."""
    try:
        content = json.loads(login_file().read_text(encoding="utf-8"))
        return Account(str(content["url"]), str(content["token"]), str(content["name"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise NotSignedIn(f"{login_file()} cannot be read. Sign in again: pneumoqueue login") from None


def current() -> Account:
    """The account that commands use: the environment's, or else the one that signed in.

    Raises:
        NotSignedIn: there is none for the server that is asked for.
    """
    url, token = os.environ.get("PNEUMOQUEUE_URL", ""), os.environ.get("PNEUMOQUEUE_TOKEN", "")
    url = clean_url(url) if url else ""
    kept = saved() if not (url and token) else None
    if token:
        if not (url or kept):
            raise UsageError("PNEUMOQUEUE_TOKEN is set; please name the server in PNEUMOQUEUE_URL as well.")
        return Account(url or (kept.url if kept else ""), token, "")
    # A token goes to the server that gave it, and to no other.
    if kept is None or (url and url != kept.url):
        raise NotSignedIn(f"You are not signed in{f' at {url}' if url else ''}. Please run: pneumoqueue login {url}")
    return kept


def save(account: Account) -> None:
    """Keep an account in a file that only this user can read."""
    own_folder(folder())
    unfinished = login_file().with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(account), file)
    unfinished.replace(login_file())


def forget() -> None:
    login_file().unlink(missing_ok=True)
