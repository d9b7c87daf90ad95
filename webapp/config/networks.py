"""Networks in the settings."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.core.exceptions import ImproperlyConfigured


def parse(name: str, texts: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    """Networks such as ``10.20.0.0/16``.

    Args:
        name: the setting's, for the message.
        texts: as they are written there.

    Raises:
        ImproperlyConfigured: one of them is no network.
    """
    try:
        return [ip_network(text.strip()) for text in texts]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}. Give networks such as 10.20.0.0/16, with commas.") from None
