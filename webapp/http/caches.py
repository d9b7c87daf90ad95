"""Browser caches."""

from django.http import HttpResponse


def forget_pictures(response: HttpResponse) -> HttpResponse:
    """Have the browser clear its cache, which has pictures that this service's pages no longer show."""
    response.headers["Clear-Site-Data"] = '"cache"'
    return response
