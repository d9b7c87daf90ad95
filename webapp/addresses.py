"""Addresses of rows, for pages that have very many of them."""

from functools import cache
from uuid import UUID

from django.urls import get_script_prefix, reverse

#: A key that no row has.
_NONE = UUID(int=0)


def address(route: str, pk: UUID) -> str:
    """The address of a row's page or resource, as :func:`django.urls.reverse` gives it.

    Each route is reversed once: the addresses of a list's rows would take a tenth of its page's time. They depend on
    nothing but the code, and on the prefix that the whole site may have.

    Args:
        route: the name of one whose only argument is a key.
        pk: the row's key.
    """
    return _of_no_row(route, get_script_prefix()).replace(str(_NONE), str(pk))


@cache
def _of_no_row(route: str, prefix: str) -> str:
    return reverse(route, args=[_NONE])
