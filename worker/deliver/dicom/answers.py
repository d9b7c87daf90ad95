"""Check the responses of other systems, above all failures to store an object by C-STORE (PS3.4 B.2.3) or STOW-RS
(PS3.18 I.2.2).
"""

from pydicom import Dataset

from webapp.studies.outbox.services import NotDeliveredError

OUT_OF_RESOURCES, NOT_SUPPORTED = 0xA7, 0x0122
SUCCESS, WARNINGS = 0x0000, (0xB000, 0xB006, 0xB007)


def check(response: Dataset, subject: str) -> None:
    """Raise NotDeliveredError if a response has no status or refuses the request."""
    if "Status" not in response:
        raise NotDeliveredError(f"no answer to {subject}", unreachable=True)
    status = int(response.Status)
    if status != SUCCESS and status not in WARNINGS:
        raise refusal(subject, status)


def refusal(subject: str, status: int) -> NotDeliveredError:
    """The error for an object that was refused with a status."""
    is_full = status >> 8 == OUT_OF_RESOURCES
    reason = f"the destination has no room for {subject}" if is_full else f"the destination refuses {subject}"
    return NotDeliveredError(f"{reason} (status {status:04X})", permanent=status == NOT_SUPPORTED, unreachable=is_full)
