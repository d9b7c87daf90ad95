"""Whether the listener for DICOM (worker/dicom) is there."""

import errno
import socket

from django.conf import settings

from webapp.ops import checks
from webapp.ops.findings import Wrong


def check() -> str:
    """For the doctor.

    Raises:
        Wrong: it does not run, though DICOM_PORT is set.
    """
    port = settings.DICOM_PORT
    if not port:
        return "DICOM_PORT is not set, so nothing listens for DICOM"
    if checks.worker("dicom"):
        return f"{settings.DICOM_AE_TITLE} listens at port {port}"
    if _is_taken(settings.DICOM_HOST, port):
        raise Wrong(f"Another program listens at port {port}.", "Choose another DICOM_PORT, or stop that program.")
    raise Wrong(f"Nothing listens for DICOM at port {port}.", "Start the listener; its log says why it ended.")


def _is_taken(host: str, port: int) -> bool:
    """Whether another program of this machine listens there."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return False
    except OSError as error:
        return error.errno == errno.EADDRINUSE
