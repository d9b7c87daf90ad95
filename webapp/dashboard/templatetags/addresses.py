"""Addresses in rows of lists: Django's own tag reverses its route for each row."""

from uuid import UUID

from django import template
from django.urls import reverse

from webapp import addresses
from webapp.studies.models import Image

register = template.Library()


@register.filter
def address(pk: UUID, route: str) -> str:
    """The address of a row, by a route whose only argument is its key."""
    return addresses.address(route, pk)


@register.filter
def page(image: Image, token: str) -> str:
    """An image's page; for whoever sees it by a link, the one that the link's token opens."""
    return reverse("shared-link-image", args=[token, image.pk]) if token else image.get_absolute_url()


@register.filter
def preview(image: Image, token: str) -> str:
    """An image's preview, likewise."""
    return reverse("shared-link-preview", args=[token, image.pk]) if token else address(image.pk, "api-image-preview")
