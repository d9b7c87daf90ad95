"""What the doctor's checks find."""

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

#: The checks as pages call them.
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


class Wrong(Exception):
    """What a check found, and what to do about it, as sentences."""

    def __init__(self, found: str, todo: str) -> None:
        super().__init__(found)
        self.found, self.todo = found, todo


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Attributes:
        said: what was found.
        todo: what to do; empty where all is well.
    """

    name: str
    ok: bool
    said: str
    todo: str = ""

    @property
    def title(self) -> str:
        return str(NAMES[self.name])
