"""What browsers keep."""

from django.http import HttpResponse


def forget_pictures(response: HttpResponse) -> HttpResponse:
    """Have the browser forget the pictures that it keeps, of which this service's pages show some no longer."""
    response.headers["Clear-Site-Data"] = '"cache"'
    return response
