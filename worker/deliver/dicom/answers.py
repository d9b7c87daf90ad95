"""What other systems answer, above all where they do not store an object: by C-STORE (PS3.4 B.2.3) or STOW-RS (PS3.18
I.2.2).
"""

from pydicom import Dataset

from webapp.studies.outbox.services import NotDeliveredError

OUT_OF_RESOURCES, NOT_SUPPORTED = 0xA7, 0x0122
SUCCESS, WARNINGS = 0x0000, (0xB000, 0xB006, 0xB007)


def check(answer: Dataset, what: str) -> None:
    """Raise the error of an answer that is none, or refuses something."""
    if "Status" not in answer:
        raise NotDeliveredError(f"no answer to {what}", unreachable=True)
    status = int(answer.Status)
    if status != SUCCESS and status not in WARNINGS:
        raise refusal(what, status)


def refusal(what: str, status: int) -> NotDeliveredError:
    """The error of an object that was refused with a status."""
    full = status >> 8 == OUT_OF_RESOURCES
    reason = f"the destination has no room for {what}" if full else f"the destination refuses {what}"
    return NotDeliveredError(f"{reason} (status {status:04X})", permanent=status == NOT_SUPPORTED, unreachable=full)
