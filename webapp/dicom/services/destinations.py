"""Change the destinations of a department's results, and send to them."""

from typing import Any
from uuid import uuid4

from django.core.exceptions import ValidationError

from webapp import sealing
from webapp.accounts.identity import Identity
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.departments.models import Department
from webapp.dicom.models import Destination, SignIn
from webapp.refusals import Refused
from webapp.studies.outbox import services as outbox
from webapp.studies.outbox.models import Delivery, State
from webapp.studies.transactions import atomically

#: The kind of deliveries to a destination, and their events: a result, a test of the connection, or a request for
#: storage commitment.
DICOM = "dicom"
RESULT, ECHO, COMMITMENT = "dicom.result", "dicom.echo", "dicom.commitment"
#: The purpose for which secrets are sealed.
SECRETS = "destinations"
#: The fields that a manager sets.
FIELDS = (
    "name", "protocol", "host", "port", "called_ae", "calling_ae", "tls", "commitment", "url", "sign_in",
    "sign_in_name", "sends", "retrieves", "enabled",
)  # fmt: skip
MAX_DESTINATIONS = 20


@atomically
def create(identity: Identity, department: Department, secret: str = "", **values: Any) -> Destination:
    """Add a destination. It gets new results from now on.

    Args:
        secret: the password, token or header value with which we sign in.

    Raises:
        Refused: ``invalid_destination`` or ``too_many_destinations``.
    """
    if Destination.objects.filter(department=department).count() >= MAX_DESTINATIONS:
        raise Refused("too_many_destinations", f"A department has at most {MAX_DESTINATIONS} destinations.")
    destination = Destination(department=department, **values)
    _seal(destination, secret)
    _check(destination)
    destination.save(force_insert=True)
    record(identity, Action.CREATE, destination)
    return destination


@atomically
def change(identity: Identity, destination: Destination, changes: dict[str, Any]) -> None:
    """Change a destination. Deliveries that wait are sent to the new address.

    A secret is only sent to the address that it was given for. With another address it has to be given again.

    Raises:
        Refused: ``invalid_destination``.
    """
    values = {name: value for name, value in changes.items() if name != "secret"}
    if changes.get("secret") or changes.get("url", destination.url) != destination.url:
        _seal(destination, changes.get("secret", ""))
    for name, value in values.items():
        setattr(destination, name, value)
    _check(destination)
    destination.save(update_fields=[*values, "sealed_secret"])
    record(identity, Action.CHANGE, destination, fields=sorted(changes))


@atomically
def delete(identity: Identity, destination: Destination) -> None:
    """Delete a destination. Its waiting deliveries are dropped."""
    record(identity, Action.DELETE, destination)
    destination.delete()


@atomically
def test(identity: Identity, destination: Destination) -> None:
    """Test whether a destination is reachable, by a C-ECHO or a search. The answer is among its deliveries.

    Raises:
        Refused: ``destination_disabled``.
    """
    _check_enabled(destination)
    record(identity, Action.TEST, destination)
    outbox.put(DICOM, f"{ECHO}:{destination.pk}:{uuid4()}", {"event": ECHO}, destination=str(destination.pk))


@atomically
def send_again(identity: Identity, destination: Destination, delivery: Delivery) -> None:
    """Send the same objects once more, whether they arrived or not, at once, even if the destination did not respond.

    Raises:
        Refused: ``destination_disabled``.
    """
    _check_enabled(destination)
    outbox.send_again([delivery.pk], states=(State.DEAD, State.DELIVERED, State.WAITING))
    record(identity, Action.SEND_AGAIN, destination, delivery=delivery.pk)


def _seal(destination: Destination, secret: str) -> None:
    if not (secret.isascii() and secret.isprintable()):
        raise Refused("invalid_destination", "secret: Only ASCII characters, in one line.")
    destination.sealed_secret = sealing.seal(secret, SECRETS) if secret else ""


def _check(destination: Destination) -> None:
    if destination.sign_in != SignIn.NONE and not destination.sealed_secret:
        raise Refused(
            "invalid_destination", "secret: Please enter it again. A secret is never used for another address."
        )
    try:
        destination.full_clean()
    except ValidationError as error:
        reasons = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
        raise Refused("invalid_destination", reasons) from None


def _check_enabled(destination: Destination) -> None:
    if not destination.enabled:
        raise Refused("destination_disabled", "This destination is switched off. Switch it on first.")
