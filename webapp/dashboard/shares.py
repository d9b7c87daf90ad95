"""Pages of shares: with whom a study or an image is shared, what others have shared, and what a link shows."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.forms import CharField
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from rest_framework.throttling import SimpleRateThrottle

from webapp.accounts import identity as identities
from webapp.accounts.identity import Identity, client_address
from webapp.audit import services as audit
from webapp.audit.models import Action
from webapp.dashboard import priors
from webapp.departments import permissions
from webapp.http import keyset, problems
from webapp.http.pagination import read_page
from webapp.http.sentences import in_words
from webapp.refusals import Refused
from webapp.sharing import services
from webapp.sharing.models import Share
from webapp.studies.access import visible_image, visible_study
from webapp.studies.api.pictures import heatmap
from webapp.studies.files import responses
from webapp.studies.models import Image, Study

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PAGE = 30
#: Validates a user name, because PostgreSQL raises an error for text with a null character.
USERNAME = CharField(max_length=150, required=False)
#: Links are secret: keep them from search engines, other websites and caches.
HEADERS = {
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}


# --- with whom a row is shared --------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def image_share(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _share(request, visible_image(identities.identify(request), pk, permissions.may_change))


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def study_share(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _share(request, visible_study(identities.identify(request), pk, permissions.may_change))


def _share(request: HttpRequest, row: Study | Image) -> HttpResponse:
    """With whom a study or an image is shared, and the forms that share it with a user or by link, or end a share."""
    context: dict[str, Any] = {"row": row, "is_study": isinstance(row, Study)}
    context |= {"days": range(services.FEWEST_DAYS, services.MOST_DAYS + 1)}
    identity = identities.identify(request)
    if request.method == "POST":
        try:
            if "end" in request.POST:
                services.revoke(identity, row, UUID(request.POST["end"]))
            elif "days" in request.POST:
                token = services.share_by_link(identity, row, int(request.POST["days"]))[1]
                # Shown only once, because the database stores only a hash.
                context["link"] = request.build_absolute_uri(reverse("shared-link", args=[token]))
            else:
                services.share_with(identity, row, USERNAME.clean(request.POST.get("username")))
        except Refused as refused:
            context |= {"error": in_words(refused.code, refused.detail)}
        except (ValueError, ValidationError):
            context |= {"error": _("Please choose from the form.")}
        if not context.keys() & {"link", "error"}:
            return redirect(request.path)
    context["shares"] = services.shares_of(row)
    return render(request, "dashboard/share.html", context, status=400 if "error" in context else 200)


@require_safe
@login_required
@never_cache
def shared_with_me(request: HttpRequest) -> HttpResponse:
    page = keyset.page(services.shared_with(cast("User", request.user)), request)
    return render(request, "dashboard/shared.html", {"page": page})


# --- what a link shows ----------------------------------------------------------------------------------------------


class LinkThrottle(SimpleRateThrottle):
    """Limits requests through links by client address."""

    scope = "link"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return f"link:{client_address(request)}"


def _by_link(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate a view of what a link shows. It responds with 404 if the link does not exist or is no longer valid."""

    @require_safe
    @wraps(view)
    def shown(request: HttpRequest, token: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        throttle: Any = LinkThrottle()  # written for REST Framework's requests, but Django's has all that it uses
        if not throttle.allow_request(request, None):
            problem = problems.Problem(429, "rate_limited", "Too many requests. Please wait a minute.")
            return problems.answer(request, problem)
        share = services.find(token)
        if share is None:
            raise Http404
        audit.record(Identity(address=client_address(request)), Action.VIEW, share.shared, share=share.pk)
        response = view(request, token, share, *args, **kwargs)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    return shown


@_by_link
def link(request: HttpRequest, token: str, share: Share) -> HttpResponse:
    """The study or image that anyone with the link sees."""
    if share.image_id:
        return _image_page(request, token, share, share.image_id)
    page = read_page(_images(share), "created_at", PAGE, request.GET.get("cursor"))
    places = {"next": page.next, "previous": page.previous}
    links = {name: f"{request.path}?cursor={place.encoded()}" for name, place in places.items() if place}
    context = {"share": share, "study": share.study, "token": token, "rows": page.rows, **links}
    return render(request, "dashboard/link_study.html", context)


@_by_link
def link_image(request: HttpRequest, token: str, share: Share, pk: UUID) -> HttpResponse:
    return _image_page(request, token, share, pk)


@_by_link
def link_preview(request: HttpRequest, token: str, share: Share, pk: UUID) -> HttpResponseBase:
    image = _shared_image(share, pk)
    return responses.picture(request, image.preview.name, image.preview_hash)


@_by_link
def link_heatmap(request: HttpRequest, token: str, share: Share, pk: UUID) -> HttpResponseBase:
    return heatmap(request, _shared_image(share, pk))


def _image_page(request: HttpRequest, token: str, share: Share, pk: UUID) -> HttpResponse:
    image = _shared_image(share, pk)
    context = {"share": share, "image": image, "token": token, "priors": priors.by_link(_images(share), image, token)}
    return render(request, "dashboard/link_image.html", context)


def _images(share: Share) -> Any:
    shared = Image.objects.filter(**({"study": share.study_id} if share.study_id else {"pk": share.image_id}))
    return shared.select_related("patient").prefetch_related("readings")


def _shared_image(share: Share, pk: UUID) -> Image:
    image: Image | None = _images(share).filter(pk=pk).first()
    if image is None:
        raise Http404
    return image
