"""The form for a reader's verdict."""

from typing import Any

from django import template

from webapp.accounts import identity as identities
from webapp.departments import permissions
from webapp.reviews.models import Review, Verdict
from webapp.studies.models import Image

register = template.Library()


@register.inclusion_tag("dashboard/_review.html", takes_context=True)
def review_form(context: dict[str, Any], image: Image) -> dict[str, Any]:
    """The review form for users who may review, and nothing for others."""
    request = context["request"]
    if not permissions.may_review(identities.identify(request), image):
        return {"may": False}
    own = Review.objects.filter(image=image, reviewer=request.user).first()
    return {
        "may": True,
        "image": image,
        "own": own.verdict if own else "",
        "verdicts": Verdict.choices,
        "csrf_token": context.get("csrf_token"),
    }
