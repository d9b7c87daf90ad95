"""Parse networks in settings."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.core.exceptions import ImproperlyConfigured


def parse(name: str, texts: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    """Parse networks such as ``10.20.0.0/16``.

    Args:
        name: the setting's name, for the error message.
        texts: the networks in the setting.

    Raises:
        ImproperlyConfigured: one of them is not a network.
    """
    try:
        return [ip_network(text.strip()) for text in texts]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}. Give networks such as 10.20.0.0/16, with commas.") from None
