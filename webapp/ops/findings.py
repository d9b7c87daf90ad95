"""Outcomes of the doctor's checks."""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

#: The names of checks on pages.
NAMES = {
    "settings": _("Settings"),
    "database": _("Database"),
    "migrations": _("Migrations"),
    "broker": _("Broker"),
    "storage": _("Storage"),
    "model": _("Model"),
    "engine": _("Engine"),
    "workers": _("Workers"),
    "dicom": "DICOM",
    "disk": _("Disk"),
    "clock": _("Clock"),
    "mail": _("Mail"),
    "certificate": _("Certificate"),
}


class Failed(Exception):
    """A failed check: sentences that say what is wrong, and what to do about it."""

    def __init__(self, message: str, todo: str) -> None:
        super().__init__(message)
        self.message, self.todo = message, todo


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Attributes:
        message: what was found.
        todo: what to do; empty if the check passed.
    """

    name: str
    ok: bool
    message: str
    todo: str = ""

    @property
    def title(self) -> str:
        return str(NAMES[self.name])
