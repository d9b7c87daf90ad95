"""The doctor's check of the DICOM listener (worker/dicom)."""

import errno
import socket

from django.conf import settings
from django.utils.translation import gettext as _

from webapp.ops import checks
from webapp.ops.findings import Failed


def dicom() -> str:
    """Check that the listener runs.

    Raises:
        Failed: it does not run although DICOM_PORT is set.
    """
    port = settings.DICOM_PORT
    if not port:
        return _("DICOM_PORT is not set, so nothing listens for DICOM")
    if checks.worker("dicom"):
        return _("%(name)s listens at port %(port)s") % {"name": settings.DICOM_AE_TITLE, "port": port}
    if _is_taken(settings.DICOM_HOST, port):
        raise Failed(
            _("Another program listens at port %(port)s.") % {"port": port},
            _("Choose another DICOM_PORT, or stop that program."),
        )
    raise Failed(
        _("Nothing listens for DICOM at port %(port)s.") % {"port": port},
        _("Start the listener; its log says why it ended."),
    )


def _is_taken(host: str, port: int) -> bool:
    """Whether another program on this machine listens at this port."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return False
    except OSError as error:
        return error.errno == errno.EADDRINUSE
