"""Errors and their exit codes."""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """Exit codes, as listed in the client's README."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    NOT_SIGNED_IN = 3
    UNREACHABLE = 4
    REFUSED = 5
    INTERRUPTED = 130


class ClientError(Exception):
    """Ends the command with a sentence for people and an exit code for scripts."""

    exit_code = ExitCode.REFUSED


class UsageError(ClientError):
    exit_code = ExitCode.USAGE


class NotSignedIn(ClientError):
    exit_code = ExitCode.NOT_SIGNED_IN


class Unreachable(ClientError):
    """The server does not answer, or takes nothing at the moment."""

    exit_code = ExitCode.UNREACHABLE


class FileChanged(Exception):
    """A file is not what it was when the request began."""


class Refused(ClientError):
    """The server refused a request.

    Attributes:
        status: of HTTP.
        code: the server's, for programs.
        detail: the server's sentence.
        fields: the fields of the request that are at fault, where the server names them.
    """

    def __init__(self, status: int, code: str, detail: str, fields: dict[str, Any] | None = None) -> None:
        super().__init__(f"{detail} ({code})")
        self.status = status
        self.code = code
        self.detail = detail
        self.fields = fields or {}

    @property
    def is_of_the_file(self) -> bool:
        """Whether another file might be accepted: only this file is at fault, not the request or the user."""
        return self.status in (400, 413, 415, 422) and not set(self.fields) - {"file", "files"}
