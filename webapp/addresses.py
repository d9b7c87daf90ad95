"""URLs of rows, for pages that contain very many of them."""

from functools import cache
from uuid import UUID

from django.urls import get_script_prefix, reverse

#: A key that no row has.
_NONE = UUID(int=0)


def address(route: str, pk: UUID) -> str:
    """The URL of a row's page or resource, like that of :func:`django.urls.reverse`.

    Each route is reversed only once. Otherwise the URLs of a list's rows would take a tenth of its page's time. They
    depend only on the code, and on the prefix that the whole site may have.

    Args:
        route: the name of a route whose only argument is a key.
        pk: the row's key.
    """
    return _template(route, get_script_prefix()).replace(str(_NONE), str(pk))


@cache
def _template(route: str, prefix: str) -> str:
    return reverse(route, args=[_NONE])
