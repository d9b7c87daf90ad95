"""What rows of lists show. Django's own tags take longer: they reverse a route and parse a text for each row."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django import template
from django.urls import reverse
from django.utils.timesince import timesince
from django.utils.translation import gettext

from webapp import addresses
from webapp.dashboard.templatetags.results import percent, tone_of, words_of
from webapp.studies.models import Image

register = template.Library()


@dataclass(frozen=True)
class Answer:
    """An image's result in a row.

    Attributes:
        tone: the class that gives it its colour.
        words: the verdict that stands, else the model's answer.
        probability: the model's, in percent; empty where it is not to be used.
    """

    tone: str
    words: str
    probability: str


@register.filter
def answer(image: Image) -> Answer:
    """What a row shows of an image's result, which is looked up once for all of it."""
    found = image.result
    share = found.probability if found and found.is_usable else None
    return Answer(tone_of(image, found), words_of(image, found), "" if share is None else percent(share))


@register.filter
def waits(since: datetime) -> str:
    """How long an image has been waiting."""
    return gettext("waits %(time)s") % {"time": timesince(since)}


@register.filter
def to_choose(name: str) -> str:
    """The label of the box that chooses a row."""
    return gettext("Choose %(name)s") % {"name": name}


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
