"""What a destination answers where it does not store an object, by C-STORE (PS3.4 B.2.3) or STOW-RS (PS3.18 I.2.2)."""

from webapp.studies.outbox.services import NotDeliveredError

OUT_OF_RESOURCES, NOT_SUPPORTED = 0xA7, 0x0122


def refusal(what: str, status: int) -> NotDeliveredError:
    """The error of an object that was refused with a status."""
    full = status >> 8 == OUT_OF_RESOURCES
    reason = f"the destination has no room for {what}" if full else f"the destination refuses {what}"
    return NotDeliveredError(f"{reason} (status {status:04X})", permanent=status == NOT_SUPPORTED, unreachable=full)
