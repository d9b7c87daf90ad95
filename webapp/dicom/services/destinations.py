"""What changes the destinations of a department's results."""

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

#: The kind of deliveries that go to one destination, and what they are about: a result, or a test of the connection.
DICOM = "dicom"
RESULT, ECHO, COMMITMENT = "dicom.result", "dicom.echo", "dicom.commitment"
#: What secrets are sealed for.
SECRETS = "destinations"
#: What a manager says of a destination.
FIELDS = (
    "name", "protocol", "host", "port", "called_ae", "calling_ae", "tls", "commitment", "url", "sign_in",
    "sign_in_name", "sends", "retrieves", "enabled",
)  # fmt: skip
MAX_DESTINATIONS = 20


@atomically
def create(by: Identity, department: Department, secret: str = "", **values: Any) -> Destination:
    """Add a destination. It gets the results that are new from now on.

    Args:
        secret: the password, token or header's value by which we sign in.

    Raises:
        Refused: ``invalid_destination`` or ``too_many_destinations``.
    """
    if Destination.objects.filter(department=department).count() >= MAX_DESTINATIONS:
        raise Refused("too_many_destinations", f"A department has at most {MAX_DESTINATIONS} destinations.")
    destination = Destination(department=department, **values)
    _seal(destination, secret)
    _check(destination)
    destination.save(force_insert=True)
    record(by, Action.CREATE, destination)
    return destination


@atomically
def change(by: Identity, destination: Destination, changes: dict[str, Any]) -> None:
    """Change a destination. What waits goes to where it is now.

    A secret is only sent to the address that it was given for: with another one it has to be given again.

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
    record(by, Action.CHANGE, destination, fields=sorted(changes))


@atomically
def delete(by: Identity, destination: Destination) -> None:
    """Delete a destination. Its waiting deliveries are dropped."""
    record(by, Action.DELETE, destination)
    destination.delete()


@atomically
def test(by: Identity, destination: Destination) -> None:
    """Ask a destination whether it is there, by a C-ECHO or a search; the answer is among its deliveries.

    Raises:
        Refused: ``destination_disabled``.
    """
    _check_enabled(destination)
    record(by, Action.TEST, destination)
    outbox.put(DICOM, f"{ECHO}:{destination.pk}:{uuid4()}", {"event": ECHO}, destination=str(destination.pk))


@atomically
def send_again(by: Identity, destination: Destination, delivery: Delivery) -> None:
    """Send the same objects once more, whether they arrived or not; at once, also where the destination was silent.

    Raises:
        Refused: ``destination_disabled``.
    """
    _check_enabled(destination)
    outbox.send_again([delivery.pk], states=(State.DEAD, State.DELIVERED, State.WAITING))
    record(by, Action.SEND_AGAIN, destination, delivery=delivery.pk)


def _seal(destination: Destination, secret: str) -> None:
    if not (secret.isascii() and secret.isprintable()):
        raise Refused("invalid_destination", "secret: Only ASCII characters, in one line.")
    destination.sealed_secret = sealing.seal(secret, SECRETS) if secret else ""


def _check(destination: Destination) -> None:
    if destination.sign_in != SignIn.NONE and not destination.sealed_secret:
        raise Refused("invalid_destination", "secret: Please give it; one for another address is not used.")
    try:
        destination.full_clean()
    except ValidationError as error:
        said = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
        raise Refused("invalid_destination", said) from None


def _check_enabled(destination: Destination) -> None:
    if not destination.enabled:
        raise Refused("destination_disabled", "This destination is switched off. Switch it on first.")
