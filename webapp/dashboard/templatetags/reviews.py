"""Template tag that shows the verdicts on an image, and the form for the viewer's own verdict."""

from typing import Any

from django import template

from webapp.dashboard.identity import viewer
from webapp.departments import permissions
from webapp.reviews.access import visible_reviews
from webapp.studies.choices import PneumoniaKind, Verdict
from webapp.studies.models import Image

register = template.Library()


@register.inclusion_tag("dashboard/_review.html", takes_context=True)
def review_form(context: dict[str, Any], image: Image) -> dict[str, Any]:
    """The verdicts that the viewer may see, and the form for those who may review."""
    identity = viewer(context["request"])
    reviews = list(visible_reviews(identity, image).prefetch_related("earlier")) if image.reviewed else []
    return {
        "may": permissions.may_review(identity, image),
        "image": image,
        "reviews": reviews,
        "own": next((review for review in reviews if identity.user and review.reviewer_id == identity.user.pk), None),
        "verdicts": Verdict.choices,
        "kinds": PneumoniaKind.choices,
        "worklist": "worklist" in context,
        "then": context.get("then", ""),
        "csrf_token": context.get("csrf_token"),
    }
